-- A column of every kind.
CREATE TABLE thing (
    id      INTEGER PRIMARY KEY,
    other   BLOB,
    name    TEXT,
    note    TEXT,
    bytes   BLOB,
    flag    INTEGER,
    share   REAL,
    made_at TEXT,
    shouted TEXT GENERATED ALWAYS AS (upper(note)) VIRTUAL
) STRICT;
