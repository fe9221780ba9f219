-- The date that lists are sorted and filtered by, as the document says it: generated, so that it is right
-- in rows from before, and in those that a replica of the release before still writes.
ALTER TABLE invoice_view ADD COLUMN issued_at timestamptz
    GENERATED ALWAYS AS (moment(CAST(document AS jsonb) ->> 'issued_at')) STORED;
CREATE INDEX invoice_view_issued ON invoice_view (issued_at, id);
CREATE INDEX invoice_view_customer_issued ON invoice_view (customer_id, issued_at, id);
CREATE INDEX invoice_view_collection_issued ON invoice_view (collection, issued_at, id)
    WHERE collection IS NOT NULL;
