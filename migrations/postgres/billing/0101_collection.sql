-- How it is with the payment of an invoice that is open, to filter by.
ALTER TABLE invoice_view ADD COLUMN collection text;
UPDATE invoice_view SET collection = document::jsonb ->> 'collection';
CREATE INDEX invoice_view_collection ON invoice_view (collection, position)
    WHERE collection IS NOT NULL;
