//! The ledger's statements. Lists are passed as one JSON parameter.

use database::Statement;

macro_rules! missing {
    ($what:literal) => {
        concat!(
            $what,
            " FROM delivered WHERE source = $1 AND aggregate = $2 AND digest = '' \
             AND NOT EXISTS (SELECT 1 FROM mirror_row AS held WHERE held.source = $1 \
             AND held.tbl = $3 AND held.key = delivered.key AND held.image IS NOT NULL)"
        )
    };
}
macro_rules! post {
    ($correlation:literal) => {
        concat!(
            "INSERT INTO outbox (source, seq, aggregate, key, mark, occurred_ms, correlation, \
             digest, state, absent) SELECT $1, CAST(value ->> 0 AS bigint), value ->> 1, \
             value ->> 2, CAST(value ->> 3 AS bigint), CAST(value ->> 4 AS bigint), ",
            $correlation,
            ", value ->> 6, value ->> 7, value ->> 8 FROM json_each($2)"
        )
    };
}

database::statements! {
    /// Every statement of this file.
    #[cfg(test)]
    pub(crate) const STATEMENTS: [Statement];

    /// Takes a source over: the newer run writes.
    pub(super) const BEGIN: Statement = Statement::Same(
        "INSERT INTO capture_source \
         (source, run, mirror_fingerprint, mapping, open_transaction, in_snapshot, spilled, last_mark) \
         VALUES ($1, $2, $3, $4, NULL, FALSE, FALSE, 0) \
         ON CONFLICT (source) DO UPDATE SET run = excluded.run, mapping = excluded.mapping \
         RETURNING mirror_fingerprint, open_transaction, in_snapshot, snapshot_end, spilled, \
         last_mark",
    );
    pub(super) const ADVANCE: Statement = Statement::Same(
        "UPDATE capture_source SET open_transaction = $3, in_snapshot = $4, spilled = $5, \
         last_mark = $6, snapshot_end = $7 WHERE source = $1 AND run = $2",
    );

    pub(super) const SET_MIRROR_FINGERPRINT: Statement =
        Statement::Same("UPDATE capture_source SET mirror_fingerprint = $2 WHERE source = $1");
    pub(super) const WAITING: Statement =
        Statement::Same("SELECT count(*) FROM outbox WHERE source = $1");
    pub(super) const ANY_ROW: Statement = Statement::Same(
        "SELECT count(*) FROM (SELECT 1 FROM mirror_row WHERE source = $1 LIMIT 1) AS one",
    );

    pub(super) const FINGERPRINT: Statement = Statement::Same(
        "SELECT fingerprint FROM capture_aggregate WHERE source = $1 AND aggregate = $2",
    );
    pub(super) const SET_FINGERPRINT: Statement = Statement::Same(
        "INSERT INTO capture_aggregate (source, aggregate, fingerprint) VALUES ($1, $2, $3) \
         ON CONFLICT (source, aggregate) DO UPDATE SET fingerprint = excluded.fingerprint",
    );

    pub(super) const FILES: Statement = Statement::Same(
        "SELECT id, head_length, head_digest, read_to, line, tail_length, tail_checksum, position \
         FROM capture_file WHERE source = $1 ORDER BY read_to DESC",
    );
    pub(super) const NEW_FILE: Statement = Statement::Same(
        "INSERT INTO capture_file \
         (source, name, head_length, head_digest, read_to, line, tail_length, tail_checksum) \
         VALUES ($1, $2, 0, '', 0, 0, 0, 0) RETURNING id",
    );
    pub(super) const READ_TO: Statement = Statement::Same(
        "UPDATE capture_file SET read_to = $2, line = $3, tail_length = $4, tail_checksum = $5, \
         head_length = $6, head_digest = $7, position = $8 WHERE id = $1",
    );

    pub(super) const MARK_ALL: Statement = Statement::Same(
        "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
         SELECT source, $2, key, $4, $5 FROM mirror_row WHERE source = $1 AND tbl = $3 \
         ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark",
    );
    pub(super) const MARK: Statement = Statement::Same(
        "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
         SELECT $1, value ->> 0, value ->> 1, CAST(value ->> 2 AS bigint), \
         CAST(value ->> 3 AS bigint) FROM json_each($2) WHERE TRUE \
         ON CONFLICT (source, aggregate, key) DO UPDATE SET \
         mark = excluded.mark, occurred_ms = excluded.occurred_ms",
    );
    /// Deletes a mark unless it is newer than the processed state.
    pub(super) const UNMARK: Statement = Statement::PerEngine {
        sqlite: "DELETE FROM dirty WHERE (source, aggregate, key) IN \
                 (SELECT dirty.source, dirty.aggregate, dirty.key \
                 FROM json_each($2) AS done CROSS JOIN dirty ON dirty.source = $1 \
                 AND dirty.aggregate = done.value ->> 0 AND dirty.key = done.value ->> 1 \
                 WHERE dirty.mark <= CAST(done.value ->> 2 AS bigint))",
        postgres: "DELETE FROM dirty USING json_each($2) AS done WHERE source = $1 \
                   AND aggregate = done.value ->> 0 AND key = done.value ->> 1 \
                   AND mark <= CAST(done.value ->> 2 AS bigint)",
    };
    pub(super) const DIRTY: Statement = Statement::Same(
        "SELECT key, mark, occurred_ms FROM dirty \
         WHERE source = $1 AND aggregate = $2 AND key > $3 ORDER BY key LIMIT $4",
    );
    pub(super) const DIRTY_COUNT: Statement = Statement::Same(
        "SELECT count(*) FROM (SELECT aggregate, key FROM dirty WHERE source = $1 \
         UNION SELECT aggregate, key FROM outbox WHERE source = $1) AS waiting",
    );

    pub(super) const MISSING: Statement = Statement::Same(missing!("SELECT count(*)"));
    /// Whether modules have an aggregate that was not sent since the mirror was restarted.
    pub(super) const ANY_UNSENT: Statement = Statement::Same(
        "SELECT count(*) FROM (SELECT 1 FROM delivered WHERE source = $1 AND digest = '' LIMIT 1) AS one",
    );
    /// Sets a value that equals no digest.
    pub(super) const KEEP_MISSING: Statement =
        Statement::Same("UPDATE delivered SET digest = 'missing' WHERE source = $1 AND digest = ''");
    pub(super) const ANY_ROW_OF: Statement = Statement::Same(
        "SELECT count(*) FROM (SELECT 1 FROM mirror_row WHERE source = $1 AND tbl = $2 \
         AND image IS NOT NULL LIMIT 1) AS one",
    );
    /// Inserts a deleted row, older than any streamed change of it.
    pub(super) const BURY_MISSING: Statement = Statement::Same(concat!(
        missing!(
            "INSERT INTO mirror_row (source, tbl, key, position) \
             SELECT source, $3, key, -9223372036854775807"
        ),
        " ON CONFLICT (source, tbl, key) DO NOTHING"
    ));
    pub(super) const MARK_MISSING: Statement = Statement::Same(concat!(
        missing!(
            "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
             SELECT source, aggregate, key, $4, $5"
        ),
        " ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark"
    ));
    /// Deletes the marks of aggregates that the mapping does not have.
    pub(super) const KEEP_DIRTY: Statement = Statement::Same(
        "DELETE FROM dirty WHERE source = $1 AND aggregate NOT IN (SELECT atom FROM json_each($2))",
    );
    /// Deletes the quarantine entries of aggregates that the mapping does not have.
    pub(super) const KEEP_QUARANTINE: Statement = Statement::Same(
        "DELETE FROM quarantine WHERE source = $1 AND aggregate NOT IN (SELECT atom FROM json_each($2))",
    );
    /// Deletes the fingerprints of aggregates that the mapping does not have.
    pub(super) const KEEP_FINGERPRINTS: Statement = Statement::Same(
        "DELETE FROM capture_aggregate WHERE source = $1 \
         AND aggregate NOT IN (SELECT atom FROM json_each($2))",
    );

    pub(super) const POST: Statement = Statement::PerEngine {
        sqlite: post!("unhex(value ->> 5)"),
        postgres: post!("CAST(value ->> 5 AS uuid)"),
    };
    pub(super) const POSTED: Statement = Statement::Same(
        "SELECT seq, aggregate, key, mark, occurred_ms, correlation, digest, state, absent \
         FROM outbox WHERE source = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    );
    pub(super) const LAST_SEQ: Statement =
        Statement::Same("SELECT coalesce(max(seq), 0) FROM outbox WHERE source = $1");
    pub(super) const ANSWERED: Statement = Statement::Same(
        "DELETE FROM outbox WHERE source = $1 \
         AND seq IN (SELECT CAST(atom AS bigint) FROM json_each($2))",
    );

    /// On PostgreSQL entry by entry, as in the mirror.
    pub(super) const DIGESTS: Statement = Statement::PerEngine {
        sqlite: "SELECT key, digest FROM delivered WHERE source = $1 AND aggregate = $2 \
                 AND key IN (SELECT atom FROM json_each($3))",
        postgres: "SELECT found.key, found.digest FROM json_each($3) AS wanted CROSS JOIN LATERAL \
                   (SELECT key, digest FROM delivered WHERE source = $1 AND aggregate = $2 \
                   AND key = wanted.atom OFFSET 0) AS found",
    };
    pub(super) const DELIVERED: Statement = Statement::Same(
        "INSERT INTO delivered (source, aggregate, key, digest, ignored) \
         SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 \
         FROM json_each($2) WHERE TRUE ON CONFLICT (source, aggregate, key) DO UPDATE SET \
         digest = excluded.digest, ignored = excluded.ignored",
    );
    pub(super) const IGNORED: Statement = Statement::Same(
        "SELECT aggregate, ignored, count(*) AS roots FROM delivered \
         WHERE source = $1 AND ignored IS NOT NULL \
         GROUP BY aggregate, ignored ORDER BY aggregate, ignored",
    );

    /// A newer entry stays, whenever an answer arrives.
    pub(super) const QUARANTINE: Statement = Statement::Same(
        "INSERT INTO quarantine (source, aggregate, key, mark, reason, since) \
         SELECT $1, value ->> 0, value ->> 1, CAST(value ->> 2 AS bigint), value ->> 3, $3 \
         FROM json_each($2) WHERE TRUE ON CONFLICT (source, aggregate, key) DO UPDATE SET \
         reason = excluded.reason, mark = excluded.mark WHERE excluded.mark >= quarantine.mark",
    );
    pub(super) const RELEASE: Statement = Statement::PerEngine {
        sqlite: "DELETE FROM quarantine WHERE (source, aggregate, key) IN \
                 (SELECT q.source, q.aggregate, q.key \
                 FROM json_each($2) AS done CROSS JOIN quarantine AS q ON q.source = $1 \
                 AND q.aggregate = done.value ->> 0 AND q.key = done.value ->> 1 \
                 WHERE q.mark <= CAST(done.value ->> 2 AS bigint))",
        postgres: "DELETE FROM quarantine USING json_each($2) AS done WHERE source = $1 \
                   AND aggregate = done.value ->> 0 AND key = done.value ->> 1 \
                   AND mark <= CAST(done.value ->> 2 AS bigint)",
    };
    pub(super) const QUARANTINED: Statement =
        Statement::Same("SELECT count(*) FROM quarantine WHERE source = $1");
    /// A page after an entry, of one source and kind or of all.
    pub(in crate::import) const QUARANTINE_LIST: Statement = Statement::Same(
        "SELECT source, aggregate, key, reason, since FROM quarantine \
         WHERE (source = $1 OR $1 IS NULL) AND (aggregate = $2 OR $2 IS NULL) \
         AND (source, aggregate, key) > ($3, $4, $5) ORDER BY source, aggregate, key LIMIT $6",
    );
    pub(in crate::import) const QUARANTINE_ENTRY: Statement = Statement::Same(
        "SELECT source, aggregate, key, reason, since FROM quarantine \
         WHERE source = $1 AND aggregate = $2 AND key = $3",
    );
    pub(in crate::import) const DISCARD: Statement =
        Statement::Same("DELETE FROM quarantine WHERE source = $1 AND aggregate = $2 AND key = $3");
    /// The sources that were imported.
    pub(in crate::import) const SOURCES: Statement =
        Statement::Same("SELECT source FROM capture_source ORDER BY source");
    pub(in crate::import) const MAPPING: Statement =
        Statement::Same("SELECT mapping FROM capture_source WHERE source = $1");
    pub(super) const REPLAY: Statement = Statement::Same(
        "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
         SELECT source, aggregate, key, $2, $3 FROM quarantine WHERE source = $1 \
         ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark",
    );
    pub(super) const REPLAY_ONE: Statement = Statement::Same(
        "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
         SELECT source, aggregate, key, $2, $3 FROM quarantine \
         WHERE source = $1 AND aggregate = $4 AND key = $5 \
         ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark",
    );
}
