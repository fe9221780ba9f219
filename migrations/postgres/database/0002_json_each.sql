-- The entries of a JSON array, as SQLite's table-valued function of this name gives them
-- (https://www.sqlite.org/json1.html#jeach), so that statements over many rows are the same text on
-- both engines. `atom` is the entry where it is a text, a number or a boolean; `value` is as JSON.
-- A plain SQL function: the planner puts its body in the place of the call.
CREATE FUNCTION json_each(entries text) RETURNS TABLE (value json, atom text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT entry, CASE WHEN json_typeof(entry) NOT IN ('array', 'object') THEN entry #>> '{}' END
        FROM json_array_elements(CAST(entries AS json)) AS entry
    $$;
