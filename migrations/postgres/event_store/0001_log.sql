-- The log: every event once, in the order of commit. The same tables as in
-- migrations/sqlite/event_store, and what several processes that write at once need besides.

CREATE TABLE log (
    one              boolean PRIMARY KEY DEFAULT true CHECK (one),
    log_id           uuid NOT NULL,
    -- A known text sealed with the master key: another master key is recognised at once.
    master_key_check bytea NOT NULL,
    created_at       timestamptz NOT NULL
);

-- The position of the last event. Who locks this row is the only one to write: the lock is taken
-- first and held to the commit, so positions are dense and become visible in their order.
CREATE TABLE head (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
    -- Room for new versions of the row on its own page: an update touches no index.
) WITH (fillfactor = 10);

INSERT INTO head (position) VALUES (0);

CREATE TABLE stream (
    -- The position of its first event.
    id       bigint PRIMARY KEY,
    name     text COLLATE "C" NOT NULL UNIQUE,
    -- Of the last event.
    revision bigint NOT NULL
) WITH (fillfactor = 90);

-- No foreign key: only the statements of the store and the function below write here, and they
-- write the stream in the same breath.
CREATE TABLE event (
    -- Dense from 1.
    position       bigint PRIMARY KEY,
    stream_id      bigint NOT NULL,
    -- Dense from 0 within the stream.
    revision       bigint NOT NULL,
    -- Microseconds since 1970-01-01 UTC.
    occurred_at    bigint NOT NULL,
    recorded_at    bigint NOT NULL,
    id             uuid NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id   uuid,
    type           text COLLATE "C" NOT NULL,
    actor          text COLLATE "C" NOT NULL,
    origin_system  text COLLATE "C" NOT NULL,
    traceparent    text COLLATE "C",
    -- JSON text, personal values sealed.
    data           bytea NOT NULL
);

CREATE UNIQUE INDEX event_in_stream ON event (stream_id, revision);
CREATE UNIQUE INDEX event_by_id ON event (stream_id, id);
CREATE INDEX event_in_correlation ON event (correlation_id, position);

-- Only grows, is never updated: vacuum has nothing to remove, but index-only scans and the freezing
-- of old rows want it all the same, in steps that do not grow with the table.
ALTER TABLE event SET (
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 1000000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000000
);

-- Keys of personal data, wrapped by the master key.
CREATE TABLE subject_key (
    id         uuid PRIMARY KEY,
    subject    uuid NOT NULL,
    purpose    text COLLATE "C" NOT NULL,
    wrapped    bytea NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (subject, purpose)
);

-- Whose keys were destroyed, and for which purposes (modules) they are retained for now. No other
-- key is ever made for them again.
CREATE TABLE erased_subject (
    subject  uuid PRIMARY KEY,
    retained text[] NOT NULL
);

-- Fails the statement it stands in.
CREATE FUNCTION require_fit(fits boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT fits THEN
        RAISE EXCEPTION 'a stream is not at the revision that was assumed' USING ERRCODE = 'ZB001';
    END IF;
END
$$;

-- Writes those of some appends that fit the log as it is, densely, and passes over the others.
--
-- An append consists of one or more parts, one per stream, which follow one another; it is written
-- whole or not at all. Of every part: `appends` its append, `names` its stream, `expected` the
-- revision that must be the last one there (-1: there is no such stream; -2: there is one; -3:
-- anything goes), `counts` how many events it has. Of every event: `parts` its part, `places` its
-- place among the events of that part, from 0.
--
-- Answers with the parts that were written: their stream's id, and the revision and position of
-- their last event.
CREATE FUNCTION append_what_fits(
    appends integer[],
    names text[],
    expected bigint[],
    counts integer[],
    parts integer[],
    places integer[],
    ids uuid[],
    types text[],
    datas bytea[],
    correlations uuid[],
    causations uuid[],
    traceparents text[],
    actors text[],
    origins text[],
    occurrences bigint[],
    recorded bigint
) RETURNS TABLE (part integer, stream_id bigint, last_revision bigint, last_position bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    part_count CONSTANT integer := cardinality(appends);
    before bigint;
    reached bigint;
    repeated integer[];
    stream_ids bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    revisions bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    positions bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    first_part integer := 1;
    last_part integer;
    fits boolean;
    actual bigint;
    found_id bigint;
    found_revision bigint;
BEGIN
    SELECT head.position INTO STRICT before FROM head FOR UPDATE;
    -- From here on nobody else writes. Every statement below has a snapshot of its own, taken after
    -- the lock was: it sees everything that was ever written.
    reached := before;
    repeated := ARRAY(
        SELECT DISTINCT appends[given.part]
        FROM unnest(parts, ids) AS given (part, id)
        JOIN stream ON stream.name = names[given.part]
        JOIN event ON event.stream_id = stream.id AND event.id = given.id
    );
    WHILE first_part <= part_count LOOP
        last_part := first_part;
        WHILE last_part < part_count AND appends[last_part + 1] = appends[first_part] LOOP
            last_part := last_part + 1;
        END LOOP;
        fits := appends[first_part] <> ALL (repeated);
        FOR this IN first_part .. last_part LOOP
            EXIT WHEN NOT fits;
            actual := (SELECT stream.revision FROM stream WHERE stream.name = names[this]);
            fits := CASE expected[this]
                WHEN -3 THEN true
                WHEN -2 THEN actual IS NOT NULL
                WHEN -1 THEN actual IS NULL
                ELSE actual IS NOT DISTINCT FROM expected[this]
            END;
        END LOOP;
        IF fits THEN
            FOR this IN first_part .. last_part LOOP
                INSERT INTO stream AS known (id, name, revision)
                VALUES (reached + 1, names[this], counts[this] - 1)
                ON CONFLICT (name) DO UPDATE SET revision = known.revision + counts[this]
                RETURNING known.id, known.revision INTO found_id, found_revision;
                reached := reached + counts[this];
                stream_ids[this] := found_id;
                revisions[this] := found_revision;
                positions[this] := reached;
            END LOOP;
        END IF;
        first_part := last_part + 1;
    END LOOP;
    IF reached = before THEN
        RETURN;
    END IF;
    INSERT INTO event (
        position, stream_id, revision, occurred_at, recorded_at, id, correlation_id, causation_id,
        type, actor, origin_system, traceparent, data
    )
    SELECT
        positions[given.part] - counts[given.part] + given.place + 1,
        stream_ids[given.part],
        revisions[given.part] - counts[given.part] + given.place + 1,
        given.occurred_at, recorded, given.id, given.correlation_id, given.causation_id,
        given.type, given.actor, given.origin_system, given.traceparent, given.data
    FROM unnest(
        parts, places, ids, types, datas, correlations, causations, traceparents, actors, origins,
        occurrences
    ) AS given (
        part, place, id, type, data, correlation_id, causation_id, traceparent, actor,
        origin_system, occurred_at
    )
    WHERE stream_ids[given.part] IS NOT NULL;
    UPDATE head SET position = reached;
    RETURN QUERY
        SELECT this, stream_ids[this], revisions[this], positions[this]
        FROM generate_series(1, part_count) AS this
        WHERE stream_ids[this] IS NOT NULL
        ORDER BY this;
END
$$;
