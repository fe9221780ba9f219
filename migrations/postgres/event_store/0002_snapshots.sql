-- States of aggregates whose streams are long. Never the truth: any of them may be deleted at any
-- time, and costs reading its stream from the beginning.

CREATE TABLE snapshot (
    stream   text COLLATE "C" PRIMARY KEY,
    -- Of the state's schema.
    version  bigint NOT NULL,
    -- The last event in it: in which log, where there, and which. A restored log has another one.
    log_id   uuid NOT NULL,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    event_id uuid NOT NULL,
    -- JSON text, personal values sealed.
    state    bytea NOT NULL
);
