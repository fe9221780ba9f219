-- What capture knows of each legacy source: its rows, how far its changes were taken over, and what
-- is still to be told to the modules. Names and keys are ordered by their bytes, whatever the
-- server's locale.

-- How far the changes of a source were taken over.
CREATE TABLE capture_source (
    source             text COLLATE "C" PRIMARY KEY,
    -- The run that writes; another one that starts takes over and this one stops.
    run                uuid NOT NULL,
    mirror_fingerprint text NOT NULL,
    -- The mapping of the last import, as it was read: it says which rows are about whom.
    mapping            text NOT NULL,
    -- The source transaction that was being read.
    open_transaction   bigint,
    in_snapshot        boolean NOT NULL,
    -- Whether part of the open transaction is in the mirror already.
    spilled            boolean NOT NULL,
    -- Sequence of dirty marks.
    last_mark          bigint NOT NULL,
    -- Where the last record of the last snapshot stands, once it was seen: rows of that snapshot may
    -- come after it.
    snapshot_end       bigint
);

CREATE TABLE capture_aggregate (
    source      text COLLATE "C" NOT NULL,
    aggregate   text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    PRIMARY KEY (source, aggregate)
);

-- A file is known by the digest of its first bytes; offsets are of the uncompressed content.
CREATE TABLE capture_file (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source        text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    head_length   bigint NOT NULL,
    head_digest   text NOT NULL,
    read_to       bigint NOT NULL,
    line          bigint NOT NULL,
    tail_length   bigint NOT NULL,
    tail_checksum bigint NOT NULL,
    -- The furthest position read from the file: rows that are read while changes are streamed have none
    -- of their own.
    position      bigint
);
CREATE INDEX capture_file_source ON capture_file (source);

-- The latest image of each row, masked. A deleted row stays, without its image.
CREATE TABLE mirror_row (
    source   text COLLATE "C" NOT NULL,
    tbl      text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    image    text,
    -- Columns whose value is older than the position, with that value's own position, or null
    -- where the value is not known.
    carried  text,
    -- What else is known of the change that the row's state is from: when it happened, its transaction,
    -- whether it is of a snapshot.
    stamp    text,
    PRIMARY KEY (source, tbl, key)
);

-- One index per join, serving both directions: which rows name which.
CREATE TABLE mirror_link (
    source text COLLATE "C" NOT NULL,
    link   text COLLATE "C" NOT NULL,
    value  text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    PRIMARY KEY (source, link, value, key)
);

-- Aggregates whose rows changed and that have no command yet.
CREATE TABLE dirty (
    source      text COLLATE "C" NOT NULL,
    aggregate   text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    mark        bigint NOT NULL,
    occurred_ms bigint NOT NULL,
    PRIMARY KEY (source, aggregate, key)
);

-- Commands whose answer is not recorded yet, with the states they carry: written in the
-- transaction of the rows they come from, deleted when they are answered.
CREATE TABLE outbox (
    source      text COLLATE "C" NOT NULL,
    -- The order in which they are sent.
    seq         bigint NOT NULL,
    aggregate   text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    mark        bigint NOT NULL,
    occurred_ms bigint NOT NULL,
    correlation uuid NOT NULL,
    digest      text NOT NULL,
    -- The state as JSON, or else why the aggregate is absent.
    state       text,
    absent      text,
    PRIMARY KEY (source, seq)
);

-- Keyed digest of the last state delivered, to skip commands that say nothing new.
CREATE TABLE delivered (
    source    text COLLATE "C" NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    digest    text NOT NULL,
    -- Why the aggregate is not one, if it never was one.
    ignored   text COLLATE "C",
    PRIMARY KEY (source, aggregate, key)
);

-- What could not be understood: key and reason, never data.
CREATE TABLE quarantine (
    source    text COLLATE "C" NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    -- An answer to something older does not get it out.
    mark      bigint NOT NULL,
    reason    text NOT NULL,
    since     timestamptz NOT NULL,
    PRIMARY KEY (source, aggregate, key)
);

-- Rows about people who were erased, each as a keyed digest of its table and key: what is read of
-- them loses what it says before it is written anywhere.
CREATE TABLE suppressed_row (
    source text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    PRIMARY KEY (source, digest)
);
