-- What capture knows of each legacy source: its rows, how far its changes were taken over, and what
-- is still to be told to the modules.

-- How far the changes of a source were taken over.
CREATE TABLE capture_source (
    source             TEXT PRIMARY KEY,
    -- The run that writes; another one that starts takes over and this one stops.
    run                BLOB NOT NULL,
    mirror_fingerprint TEXT NOT NULL,
    -- The mapping of the last import, as it was read: it says which rows are about whom.
    mapping            TEXT NOT NULL,
    -- The source transaction that was being read.
    open_transaction   INTEGER,
    in_snapshot        INTEGER NOT NULL CHECK (in_snapshot IN (0, 1)),
    -- Whether part of the open transaction is in the mirror already.
    spilled            INTEGER NOT NULL CHECK (spilled IN (0, 1)),
    -- Sequence of dirty marks.
    last_mark          INTEGER NOT NULL,
    -- Where the last record of the last snapshot stands, once it was seen: rows of that snapshot may
    -- come after it.
    snapshot_end       INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE capture_aggregate (
    source      TEXT NOT NULL,
    aggregate   TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (source, aggregate)
) STRICT, WITHOUT ROWID;

-- A file is known by the digest of its first bytes; offsets are of the uncompressed content.
CREATE TABLE capture_file (
    id            INTEGER PRIMARY KEY,
    source        TEXT NOT NULL,
    name          TEXT NOT NULL,
    head_length   INTEGER NOT NULL,
    head_digest   TEXT NOT NULL,
    read_to       INTEGER NOT NULL,
    line          INTEGER NOT NULL,
    tail_length   INTEGER NOT NULL,
    tail_checksum INTEGER NOT NULL,
    -- The furthest position read from the file: rows that are read while changes are streamed have none
    -- of their own.
    position      INTEGER
) STRICT;
CREATE INDEX capture_file_source ON capture_file (source);

-- The latest image of each row, masked. A deleted row stays, without its image.
CREATE TABLE mirror_row (
    source   TEXT NOT NULL,
    tbl      TEXT NOT NULL,
    key      TEXT NOT NULL,
    position INTEGER NOT NULL,
    image    TEXT,
    -- Columns whose value is older than the position, with that value's own position, or null
    -- where the value is not known.
    carried  TEXT,
    -- What else is known of the change that the row's state is from: when it happened, its transaction,
    -- whether it is of a snapshot.
    stamp    TEXT,
    PRIMARY KEY (source, tbl, key)
) STRICT, WITHOUT ROWID;

-- One index per join, serving both directions: which rows name which.
CREATE TABLE mirror_link (
    source TEXT NOT NULL,
    link   TEXT NOT NULL,
    value  TEXT NOT NULL,
    key    TEXT NOT NULL,
    PRIMARY KEY (source, link, value, key)
) STRICT, WITHOUT ROWID;

-- Aggregates whose rows changed and that have no command yet.
CREATE TABLE dirty (
    source      TEXT NOT NULL,
    aggregate   TEXT NOT NULL,
    key         TEXT NOT NULL,
    mark        INTEGER NOT NULL,
    occurred_ms INTEGER NOT NULL,
    PRIMARY KEY (source, aggregate, key)
) STRICT, WITHOUT ROWID;

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
    correlation BLOB NOT NULL,
    digest      TEXT NOT NULL,
    -- The state as JSON, or else why the aggregate is absent.
    state       TEXT,
    absent      TEXT,
    PRIMARY KEY (source, seq)
) STRICT, WITHOUT ROWID;

-- Keyed digest of the last state delivered, to skip commands that say nothing new.
CREATE TABLE delivered (
    source    TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    key       TEXT NOT NULL,
    digest    TEXT NOT NULL,
    -- Why the aggregate is not one, if it never was one.
    ignored   TEXT,
    PRIMARY KEY (source, aggregate, key)
) STRICT, WITHOUT ROWID;

-- What could not be understood: key and reason, never data.
CREATE TABLE quarantine (
    source    TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    key       TEXT NOT NULL,
    -- An answer to something older does not get it out.
    mark      INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    since     TEXT NOT NULL,
    PRIMARY KEY (source, aggregate, key)
) STRICT, WITHOUT ROWID;

-- Rows about people who were erased, each as a keyed digest of its table and key: what is read of
-- them loses what it says before it is written anywhere.
CREATE TABLE suppressed_row (
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (source, digest)
) STRICT, WITHOUT ROWID;
