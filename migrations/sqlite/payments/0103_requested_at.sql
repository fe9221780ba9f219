-- The date that lists are sorted and filtered by, as the document says it: generated, so that it is right
-- in rows from before, and in those that a replica of the release before still writes.
-- A date that is not of four digits counts as the first or the last of those that are.
ALTER TABLE payment ADD COLUMN requested_at TEXT GENERATED ALWAYS AS (
    CASE substr(coalesce(document ->> '$.date', document ->> '$.requested_at'), 1, 1)
        WHEN '+' THEN '9999-12-31T23:59:59+00:00'
        WHEN '-' THEN '0001-01-01T00:00:00+00:00'
        ELSE max(
            coalesce(
                (document ->> '$.date') || 'T00:00:00',
                rtrim(document ->> '$.requested_at', 'Z')
            ) || '+00:00',
            '0001-01-01T00:00:00+00:00'
        )
    END
) VIRTUAL;
CREATE INDEX payment_requested ON payment (requested_at, id);
CREATE INDEX payment_status_requested ON payment (status, requested_at, id);
CREATE INDEX payment_owner_requested ON payment (owner, requested_at, id);
ALTER TABLE payment_refund ADD COLUMN requested_at TEXT GENERATED ALWAYS AS (
    CASE substr(document ->> '$.requested_at', 1, 1)
        WHEN '+' THEN '9999-12-31T23:59:59+00:00'
        WHEN '-' THEN '0001-01-01T00:00:00+00:00'
        ELSE max(
            rtrim(document ->> '$.requested_at', 'Z') || '+00:00',
            '0001-01-01T00:00:00+00:00'
        )
    END
) VIRTUAL;
CREATE INDEX payment_refund_requested ON payment_refund (requested_at, id);
CREATE INDEX payment_refund_status_requested ON payment_refund (status, requested_at, id);
