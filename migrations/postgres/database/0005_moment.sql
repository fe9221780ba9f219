-- The moment that the JSON of a read model's document says (RFC 3339 in UTC, as `2025-01-06T00:00:00Z`),
-- for columns that are generated from documents. Such a text is read in the same way whatever the session's
-- settings are: therefore IMMUTABLE, which the cast by itself is not. A date that is not of four digits
-- counts as the first or the last of those that are.
CREATE FUNCTION moment(said text) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN said LIKE '+%' THEN TIMESTAMPTZ '9999-12-31 23:59:59+00'
            WHEN said LIKE '-%' OR said LIKE '0000%' THEN TIMESTAMPTZ '0001-01-01 00:00:00+00'
            ELSE CAST(said AS timestamptz)
        END
    $$;
