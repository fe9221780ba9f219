-- The log: every event once, in the order of commit.

CREATE TABLE log (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    log_id           BLOB NOT NULL,
    -- A known text sealed with the master key: another master key is recognised at once.
    master_key_check BLOB NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE stream (
    -- The position of the stream's first event.
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    -- Of the last event.
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
    -- Dense from 1.
    position       INTEGER PRIMARY KEY,
    stream_id      INTEGER NOT NULL REFERENCES stream (id),
    -- Dense from 0 within the stream.
    revision       INTEGER NOT NULL,
    id             BLOB NOT NULL,
    type           TEXT NOT NULL,
    -- JSON text, personal values sealed; of an event from outside whatever its writer sent.
    data           BLOB NOT NULL,
    correlation_id BLOB NOT NULL,
    causation_id   BLOB,
    traceparent    TEXT,
    actor          TEXT NOT NULL,
    origin_system  TEXT NOT NULL,
    -- Microseconds since 1970-01-01 UTC.
    occurred_at    INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL,
    -- Of an event from outside: its own metadata as it came, and whether its data is said to be JSON.
    -- NULL for those of modules.
    foreign_metadata BLOB,
    foreign_json     INTEGER
) STRICT;

-- What stays of events of other streams than modules' that were removed: checkpoints that stand there
-- are still of this log.
CREATE TABLE scavenged (
    position INTEGER PRIMARY KEY,
    id       BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX event_in_stream ON event (stream_id, revision);
CREATE UNIQUE INDEX event_by_id ON event (stream_id, id);
CREATE INDEX event_in_correlation ON event (correlation_id, position);

-- Keys of personal data, wrapped by the master key.
CREATE TABLE subject_key (
    id         BLOB PRIMARY KEY,
    subject    BLOB NOT NULL,
    purpose    TEXT NOT NULL,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (subject, purpose)
) STRICT, WITHOUT ROWID;

-- Whose keys were destroyed, and for which purposes (a JSON array of modules) they are retained for
-- now. No other key is ever made for them again.
CREATE TABLE erased_subject (
    subject  BLOB PRIMARY KEY,
    retained TEXT NOT NULL
) STRICT, WITHOUT ROWID;

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
