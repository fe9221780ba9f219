-- The log: every event once, in the order of commit. Streams and events are inserted, and never
-- updated: there is no row that every append writes anew, and so nothing that piles up while a backup
-- or a report keeps an old snapshot open.

CREATE TABLE log (
    one              boolean PRIMARY KEY DEFAULT true CHECK (one),
    log_id           uuid NOT NULL,
    -- A known text sealed with the master key: another master key is recognised at once.
    master_key_check bytea NOT NULL,
    created_at       timestamptz NOT NULL
);

CREATE TABLE stream (
    -- The position of its first event.
    id   bigint PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

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
    -- JSON text, personal values sealed; of an event from outside whatever its writer sent.
    data           bytea NOT NULL,
    -- Of an event from outside: its own metadata as it came, and whether its data is said to be JSON.
    -- NULL for those of modules.
    foreign_metadata bytea,
    foreign_json     boolean
);

-- What stays of events of other streams than modules' that were removed: checkpoints that stand there
-- are still of this log.
CREATE TABLE scavenged (
    position bigint PRIMARY KEY,
    id       uuid NOT NULL
);

CREATE UNIQUE INDEX event_in_stream ON event (stream_id, revision);
CREATE UNIQUE INDEX event_by_id ON event (stream_id, id);
CREATE INDEX event_in_correlation ON event (correlation_id, position);

-- Vacuum has nothing to remove, but old rows must be frozen, and statistics be made, in steps that do
-- not grow with the table.
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

-- Makes the caller the only one that writes, until its transaction ends, and answers with the position
-- of the last event. Who writes holds this lock to the commit: positions are dense, and become
-- visible in their order.
CREATE FUNCTION lock_log() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    -- Advisory locks are per database; the number stands for this log.
    PERFORM pg_advisory_xact_lock(6002846134411);
    -- Another statement, and so another snapshot: it sees what was committed before the lock was had.
    RETURN (SELECT coalesce(max(position), 0) FROM event);
END
$$;

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
-- whole or not at all. Of every part: `appends` its append, `names` its stream, `previous` the last
-- part before that is of the same stream (0 for none), `expected` the revision that must be the last
-- one there (-1: there is no such stream; -2: there is one; -3: anything goes), `counts` how many
-- events it has. Of every event: `parts` its part, `places` its place among the events of that part,
-- from 0.
--
-- Answers with the parts that were written: their stream's id, and the revision and position of
-- their last event.
CREATE FUNCTION append_what_fits(
    appends integer[],
    names text[],
    previous integer[],
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
    foreign_metadatas bytea[],
    foreign_jsons boolean[],
    recorded bigint
) RETURNS TABLE (part integer, stream_id bigint, last_revision bigint, last_position bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    part_count CONSTANT integer := cardinality(appends);
    before CONSTANT bigint := lock_log();
    reached bigint := before;
    repeated integer[];
    -- Of the parts: their stream, and its last revision before and after them, NULL where there is
    -- no such stream; the position of their last event, NULL for those that are passed over.
    stream_ids bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    revisions bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    lasts bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    positions bigint[] := array_fill(NULL::bigint, ARRAY[part_count]);
    first_part integer := 1;
    last_part integer;
    earlier integer;
    fits boolean;
    actual bigint;
BEGIN
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
            earlier := previous[this];
            WHILE earlier > 0 AND positions[earlier] IS NULL LOOP
                earlier := previous[earlier];
            END LOOP;
            IF earlier > 0 THEN
                stream_ids[this] := stream_ids[earlier];
                actual := lasts[earlier];
            ELSE
                stream_ids[this] := (SELECT stream.id FROM stream WHERE stream.name = names[this]);
                actual := (
                    SELECT max(event.revision) FROM event WHERE event.stream_id = stream_ids[this]
                );
            END IF;
            revisions[this] := actual;
            fits := CASE expected[this]
                WHEN -3 THEN true
                WHEN -2 THEN actual IS NOT NULL
                WHEN -1 THEN actual IS NULL
                ELSE actual IS NOT DISTINCT FROM expected[this]
            END;
        END LOOP;
        IF fits THEN
            FOR this IN first_part .. last_part LOOP
                IF stream_ids[this] IS NULL THEN
                    INSERT INTO stream (id, name) VALUES (reached + 1, names[this]);
                    stream_ids[this] := reached + 1;
                END IF;
                lasts[this] := coalesce(revisions[this], -1) + counts[this];
                reached := reached + counts[this];
                positions[this] := reached;
            END LOOP;
        END IF;
        first_part := last_part + 1;
    END LOOP;
    INSERT INTO event (
        position, stream_id, revision, occurred_at, recorded_at, id, correlation_id, causation_id,
        type, actor, origin_system, traceparent, data, foreign_metadata, foreign_json
    )
    SELECT
        positions[given.part] - counts[given.part] + given.place + 1,
        stream_ids[given.part],
        lasts[given.part] - counts[given.part] + given.place + 1,
        given.occurred_at, recorded, given.id, given.correlation_id, given.causation_id,
        given.type, given.actor, given.origin_system, given.traceparent, given.data,
        given.foreign_metadata, given.foreign_json
    FROM unnest(
        parts, places, ids, types, datas, correlations, causations, traceparents, actors, origins,
        occurrences, foreign_metadatas, foreign_jsons
    ) AS given (
        part, place, id, type, data, correlation_id, causation_id, traceparent, actor,
        origin_system, occurred_at, foreign_metadata, foreign_json
    )
    WHERE positions[given.part] IS NOT NULL;
    RETURN QUERY
        SELECT this, stream_ids[this], lasts[this], positions[this]
        FROM generate_series(1, part_count) AS this
        WHERE positions[this] IS NOT NULL
        ORDER BY this;
END
$$;

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
