-- The date that lists are sorted and filtered by, as the document says it: generated, so that it is right
-- in rows from before, and in those that a replica of the release before still writes.
ALTER TABLE payment ADD COLUMN requested_at timestamptz
    GENERATED ALWAYS AS (moment(coalesce(
        (CAST(document AS jsonb) ->> 'date') || 'T00:00:00Z',
        CAST(document AS jsonb) ->> 'requested_at'
    ))) STORED;
CREATE INDEX payment_requested ON payment (requested_at, id);
CREATE INDEX payment_status_requested ON payment (status, requested_at, id);
CREATE INDEX payment_owner_requested ON payment (owner, requested_at, id);
ALTER TABLE payment_refund ADD COLUMN requested_at timestamptz
    GENERATED ALWAYS AS (moment(CAST(document AS jsonb) ->> 'requested_at')) STORED;
CREATE INDEX payment_refund_requested ON payment_refund (requested_at, id);
CREATE INDEX payment_refund_status_requested ON payment_refund (status, requested_at, id);
