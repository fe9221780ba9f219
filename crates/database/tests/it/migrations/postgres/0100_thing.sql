-- A column of every kind.
CREATE TABLE thing (
    id      bigint PRIMARY KEY,
    other   uuid,
    name    text,
    note    text,
    bytes   bytea,
    flag    boolean,
    share   double precision,
    made_at timestamptz,
    shouted text GENERATED ALWAYS AS (upper(note)) STORED
);
