-- States of aggregates whose streams are long. Never the truth: any of them may be deleted at any
-- time, and costs reading its stream from the beginning.

CREATE TABLE snapshot (
    stream   TEXT PRIMARY KEY,
    -- Of the state's schema.
    version  INTEGER NOT NULL,
    -- The last event in it: in which log, where there, and which. A restored log has another one.
    log_id   BLOB NOT NULL,
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    -- JSON text, personal values sealed.
    state    BLOB NOT NULL
) STRICT;
