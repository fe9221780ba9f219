-- Commands whose answer is not recorded yet, with the states they carry: written in the
-- transaction of the rows they come from, deleted when they are answered.
CREATE TABLE outbox (
    source      TEXT NOT NULL,
    -- The order in which they are sent.
    seq         INTEGER NOT NULL,
    aggregate   TEXT NOT NULL,
    key         TEXT NOT NULL,
    mark        INTEGER NOT NULL,
    occurred_ms INTEGER NOT NULL,
    correlation TEXT NOT NULL,
    digest      TEXT NOT NULL,
    -- The state as JSON, or else why the aggregate is absent.
    state       TEXT,
    absent      TEXT,
    PRIMARY KEY (source, seq)
) WITHOUT ROWID;

-- The mark of what could not be understood: an answer to something older does not get it out.
ALTER TABLE quarantine ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;
