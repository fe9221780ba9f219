-- The date that lists are sorted and filtered by, as the document says it: generated, so that it is right
-- in rows from before, and in those that a replica of the release before still writes.
-- A date that is not of four digits counts as the first or the last of those that are.
ALTER TABLE invoice_view ADD COLUMN issued_at TEXT GENERATED ALWAYS AS (
    CASE substr(document ->> '$.issued_at', 1, 1)
        WHEN '+' THEN '9999-12-31T23:59:59+00:00'
        WHEN '-' THEN '0001-01-01T00:00:00+00:00'
        ELSE max(
            rtrim(document ->> '$.issued_at', 'Z') || '+00:00',
            '0001-01-01T00:00:00+00:00'
        )
    END
) VIRTUAL;
CREATE INDEX invoice_view_issued ON invoice_view (issued_at, id);
CREATE INDEX invoice_view_customer_issued ON invoice_view (customer_id, issued_at, id);
CREATE INDEX invoice_view_collection_issued ON invoice_view (collection, issued_at, id)
    WHERE collection IS NOT NULL;
