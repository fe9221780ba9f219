-- What else is known of the change that a row's state is from: when it happened, its transaction,
-- whether it is of a snapshot.
ALTER TABLE mirror_row ADD COLUMN stamp TEXT;

-- Where the last record of the last snapshot stands, once it was seen: rows of that snapshot may
-- come after it.
ALTER TABLE capture_source ADD COLUMN snapshot_end INTEGER;

-- The furthest position read from a file: rows that are read while changes are streamed have none
-- of their own.
ALTER TABLE capture_file ADD COLUMN position INTEGER;
