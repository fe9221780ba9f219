//! What the import knows beside the mirror: how far it is, what is dirty, what is to be sent, what
//! was delivered and what is in quarantine. All in the mirror's database, so that it moves in one transaction with
//! the rows.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::deliver::{Command, Stated};
use super::feed::Cursor;
use super::summary::Ignored;
use crate::files::{Head, Place};

const BEGIN: &str = "INSERT INTO capture_source \
     (source, run, mirror_fingerprint, open_transaction, in_snapshot, spilled, last_mark) \
     VALUES ($1, $2, $3, NULL, 0, 0, 0) ON CONFLICT (source) DO UPDATE SET run = excluded.run \
     RETURNING mirror_fingerprint, open_transaction, in_snapshot, spilled, last_mark";
const ADVANCE: &str = "UPDATE capture_source SET open_transaction = $3, in_snapshot = $4, \
     spilled = $5, last_mark = $6 WHERE source = $1 AND run = $2";
const FINGERPRINT: &str =
    "SELECT fingerprint FROM capture_aggregate WHERE source = $1 AND aggregate = $2";
const SET_FINGERPRINT: &str = "INSERT INTO capture_aggregate (source, aggregate, fingerprint) \
     VALUES ($1, $2, $3) ON CONFLICT (source, aggregate) DO UPDATE SET fingerprint = excluded.fingerprint";
const MARK_ALL: &str = "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
     SELECT source, $2, key, $4, $5 FROM mirror_row WHERE source = $1 AND tbl = $3 \
     ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark";
const FILES: &str = "SELECT id, head_length, head_digest, read_to, line, tail_length, \
     tail_checksum FROM capture_file WHERE source = $1 ORDER BY read_to DESC";
const NEW_FILE: &str = "INSERT INTO capture_file (source, name, head_length, head_digest, \
     read_to, line, tail_length, tail_checksum) VALUES ($1, $2, 0, '', 0, 0, 0, 0) RETURNING id";
const READ_TO: &str = "UPDATE capture_file SET read_to = $2, line = $3, tail_length = $4, \
     tail_checksum = $5, head_length = $6, head_digest = $7 WHERE id = $1";
const MARK: &str = "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
     SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($2) WHERE true \
     ON CONFLICT (source, aggregate, key) DO UPDATE SET \
     mark = excluded.mark, occurred_ms = excluded.occurred_ms";
/// A mark goes unless it is newer than what was worked on.
const UNMARK: &str = "DELETE FROM dirty WHERE (source, aggregate, key) IN \
     (SELECT dirty.source, dirty.aggregate, dirty.key FROM json_each($2) AS done CROSS JOIN dirty \
     ON dirty.source = $1 AND dirty.aggregate = done.value ->> 0 AND dirty.key = done.value ->> 1 \
     WHERE dirty.mark <= done.value ->> 2)";
const POST: &str = "INSERT INTO outbox (source, seq, aggregate, key, mark, occurred_ms, \
     correlation, digest, state, absent) SELECT $1, value ->> 0, value ->> 1, value ->> 2, \
     value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8 \
     FROM json_each($2)";
const POSTED: &str = "SELECT seq, aggregate, key, mark, occurred_ms, correlation, digest, state, \
     absent FROM outbox WHERE source = $1 AND seq > $2 ORDER BY seq LIMIT $3";
const LAST_SEQ: &str = "SELECT coalesce(max(seq), 0) FROM outbox WHERE source = $1";
const ANSWERED: &str = "DELETE FROM outbox WHERE (source, seq) IN \
     (SELECT $1, value FROM json_each($2))";
const HOLDS: &str = "SELECT count(*) FROM capture_source WHERE source = $1 AND run = $2";
const DIRTY: &str = "SELECT key, mark, occurred_ms FROM dirty \
     WHERE source = $1 AND aggregate = $2 AND key > $3 ORDER BY key LIMIT $4";
const DIRTY_COUNT: &str = "SELECT count(*) FROM \
     (SELECT source, aggregate, key FROM dirty UNION SELECT source, aggregate, key FROM outbox) \
     WHERE source = $1";
const DIGESTS: &str = "SELECT key, digest FROM delivered \
     WHERE source = $1 AND aggregate = $2 AND key IN (SELECT value FROM json_each($3))";
const DELIVERED: &str = "INSERT INTO delivered (source, aggregate, key, digest, ignored) \
     SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($2) WHERE true \
     ON CONFLICT (source, aggregate, key) DO UPDATE SET \
     digest = excluded.digest, ignored = excluded.ignored";
const IGNORED: &str = "SELECT aggregate, ignored, count(*) FROM delivered \
     WHERE source = $1 AND ignored IS NOT NULL GROUP BY aggregate, ignored ORDER BY aggregate, ignored";
/// What is newer stays, whenever an answer comes.
const QUARANTINE: &str = "INSERT INTO quarantine (source, aggregate, key, mark, reason, since) \
     SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, $3 FROM json_each($2) \
     WHERE true ON CONFLICT (source, aggregate, key) DO UPDATE SET \
     reason = excluded.reason, mark = excluded.mark WHERE excluded.mark >= quarantine.mark";
const RELEASE: &str = "DELETE FROM quarantine WHERE (source, aggregate, key) IN \
     (SELECT q.source, q.aggregate, q.key FROM json_each($2) AS done CROSS JOIN quarantine AS q \
     ON q.source = $1 AND q.aggregate = done.value ->> 0 AND q.key = done.value ->> 1 \
     WHERE q.mark <= done.value ->> 2)";
const QUARANTINED: &str = "SELECT count(*) FROM quarantine WHERE source = $1";
const QUARANTINE_LIST: &str = "SELECT aggregate, key, reason, since FROM quarantine \
     WHERE source = $1 ORDER BY aggregate, key";
const REPLAY: &str = "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
     SELECT source, aggregate, key, $2, $3 FROM quarantine WHERE source = $1 \
     ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark";

type Result<T> = sqlx::Result<T>;

/// How far an import is, beside the files.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) cursor: Cursor,
    /// Whether part of the open transaction is in the mirror already.
    pub(super) spilled: bool,
    pub(super) last_mark: i64,
}

/// A dirty root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) key: String,
    pub(super) mark: i64,
    pub(super) occurred_ms: i64,
}

/// A file read before.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub(super) id: i64,
    pub(super) head: Head,
    pub(super) place: Place,
}

/// A row of the outbox.
#[derive(sqlx::FromRow)]
struct PostedRow {
    seq: i64,
    aggregate: String,
    key: String,
    mark: i64,
    occurred_ms: i64,
    correlation: String,
    digest: String,
    state: Option<String>,
    absent: Option<String>,
}

impl PostedRow {
    fn command(self) -> Result<(Command, String)> {
        let damaged = |error| sqlx::Error::Decode(Box::new(error));
        let command = Command {
            seq: self.seq,
            root: (0, self.key),
            mark: self.mark,
            occurred_ms: self.occurred_ms,
            correlation: Uuid::parse_str(&self.correlation).map_err(damaged)?,
            digest: self.digest,
            stated: match self.state {
                Some(state) => Stated::Present(state),
                None => Stated::Absent(self.absent.unwrap_or_default()),
            },
        };
        Ok((command, self.aggregate))
    }
}

/// The statements of one source's bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) source: String,
    /// Names this run, so that two runs cannot both write.
    pub(super) run: String,
}

impl Ledger {
    /// Takes the source over from earlier runs. Also gives the fingerprint of what the mirror
    /// was filled with.
    pub(super) async fn begin(
        &self,
        connection: &mut SqliteConnection,
        fingerprint: &str,
    ) -> Result<(State, String)> {
        let (stored, transaction, in_snapshot, spilled, last_mark) =
            sqlx::query_as::<_, (String, Option<i64>, bool, bool, i64)>(BEGIN)
                .bind(&self.source)
                .bind(&self.run)
                .bind(fingerprint)
                .fetch_one(connection)
                .await?;
        let cursor = Cursor { transaction, in_snapshot };
        Ok((State { cursor, spilled, last_mark }, stored))
    }

    /// Stores how far the import is; `false` when another run took over.
    pub(super) async fn advance(
        &self,
        connection: &mut SqliteConnection,
        state: &State,
    ) -> Result<bool> {
        let done = sqlx::query(ADVANCE)
            .bind(&self.source)
            .bind(&self.run)
            .bind(state.cursor.transaction)
            .bind(state.cursor.in_snapshot)
            .bind(state.spilled)
            .bind(state.last_mark)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether an aggregate's documents or program changed since the last run; remembers them.
    pub(super) async fn is_new(
        &self,
        connection: &mut SqliteConnection,
        aggregate: &str,
        fingerprint: &str,
    ) -> Result<bool> {
        let stored: Option<String> = sqlx::query_scalar(FINGERPRINT)
            .bind(&self.source)
            .bind(aggregate)
            .fetch_optional(&mut *connection)
            .await?;
        sqlx::query(SET_FINGERPRINT)
            .bind(&self.source)
            .bind(aggregate)
            .bind(fingerprint)
            .execute(connection)
            .await?;
        Ok(stored.as_deref() != Some(fingerprint))
    }

    /// Marks every aggregate of a kind dirty.
    pub(super) async fn mark_all(
        &self,
        connection: &mut SqliteConnection,
        aggregate: &str,
        table: &str,
        mark: i64,
        occurred_ms: i64,
    ) -> Result<()> {
        sqlx::query(MARK_ALL)
            .bind(&self.source)
            .bind(aggregate)
            .bind(table)
            .bind(mark)
            .bind(occurred_ms)
            .execute(connection)
            .await?;
        Ok(())
    }

    pub(super) async fn files(&self, connection: &mut SqliteConnection) -> Result<Vec<KnownFile>> {
        let files: Vec<(i64, i64, String, i64, i64, i64, i64)> =
            sqlx::query_as(FILES).bind(&self.source).fetch_all(connection).await?;
        let known = |(id, length, digest, offset, line, tail_length, checksum): (
            i64,
            i64,
            String,
            i64,
            i64,
            i64,
            i64,
        )| KnownFile {
            id,
            head: Head { length: usize::try_from(length).unwrap_or_default(), digest },
            place: Place {
                offset: offset.cast_unsigned(),
                line: line.cast_unsigned(),
                tail_length: tail_length.cast_unsigned(),
                tail_checksum: u32::try_from(checksum).unwrap_or_default(),
            },
        };
        Ok(files.into_iter().map(known).collect())
    }

    /// Begins to remember a file that was not read before.
    pub(super) async fn new_file(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<i64> {
        sqlx::query_scalar(NEW_FILE).bind(&self.source).bind(name).fetch_one(connection).await
    }

    /// Remembers how far a file was read, and how it begins.
    pub(super) async fn read_to(
        &self,
        connection: &mut SqliteConnection,
        file: i64,
        place: Place,
        head: &Head,
    ) -> Result<()> {
        sqlx::query(READ_TO)
            .bind(file)
            .bind(place.offset.cast_signed())
            .bind(place.line.cast_signed())
            .bind(place.tail_length.cast_signed())
            .bind(i64::from(place.tail_checksum))
            .bind(head.length as i64)
            .bind(&head.digest)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Runs one of the statements that take a list.
    async fn list(
        &self,
        connection: &mut SqliteConnection,
        statement: &'static str,
        entries: Vec<Value>,
    ) -> Result<()> {
        if !entries.is_empty() {
            let entries = Value::Array(entries).to_string();
            sqlx::query(statement).bind(&self.source).bind(entries).execute(connection).await?;
        }
        Ok(())
    }

    pub(super) async fn mark(
        &self,
        connection: &mut SqliteConnection,
        marks: impl Iterator<Item = (&str, Mark)>,
    ) -> Result<()> {
        let entry = |(aggregate, mark): (&str, Mark)| {
            json!([aggregate, mark.key, mark.mark, mark.occurred_ms])
        };
        self.list(connection, MARK, marks.map(entry).collect()).await
    }

    pub(super) async fn unmark(
        &self,
        connection: &mut SqliteConnection,
        marks: impl Iterator<Item = (&str, &str, i64)>,
    ) -> Result<()> {
        let entries = marks.map(|(aggregate, key, mark)| json!([aggregate, key, mark])).collect();
        self.list(connection, UNMARK, entries).await
    }

    /// Puts commands, each with the name of its aggregate, into the outbox.
    pub(super) async fn post(
        &self,
        connection: &mut SqliteConnection,
        commands: impl Iterator<Item = (&str, &Command)>,
    ) -> Result<()> {
        let entry = |(aggregate, command): (&str, &Command)| {
            let Command { seq, root, mark, occurred_ms, correlation, digest, stated } = command;
            let (state, absent) = match stated {
                Stated::Present(state) => (Some(state), None),
                Stated::Absent(why) => (None, Some(why)),
            };
            json!([
                seq,
                aggregate,
                root.1,
                mark,
                occurred_ms,
                correlation.to_string(),
                digest,
                state,
                absent
            ])
        };
        self.list(connection, POST, commands.map(entry).collect()).await
    }

    /// A page of the outbox after a place in it: commands with the names of their aggregates,
    /// whose ids are to be filled in.
    pub(super) async fn posted(
        &self,
        connection: &mut SqliteConnection,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(Command, String)>> {
        let rows: Vec<PostedRow> = sqlx::query_as(POSTED)
            .bind(&self.source)
            .bind(after)
            .bind(limit as i64)
            .fetch_all(connection)
            .await?;
        rows.into_iter().map(PostedRow::command).collect()
    }

    /// The last place in the outbox that is taken.
    pub(super) async fn last_seq(&self, connection: &mut SqliteConnection) -> Result<i64> {
        sqlx::query_scalar(LAST_SEQ).bind(&self.source).fetch_one(connection).await
    }

    /// Takes commands out of the outbox.
    pub(super) async fn answered(
        &self,
        connection: &mut SqliteConnection,
        commands: impl Iterator<Item = i64>,
    ) -> Result<()> {
        self.list(connection, ANSWERED, commands.map(Value::from).collect()).await
    }

    /// Whether this run still is the one that writes.
    pub(super) async fn holds(&self, connection: &mut SqliteConnection) -> Result<bool> {
        let runs: i64 = sqlx::query_scalar(HOLDS)
            .bind(&self.source)
            .bind(&self.run)
            .fetch_one(connection)
            .await?;
        Ok(runs == 1)
    }

    /// A page of dirty roots of one kind, after a key.
    pub(super) async fn dirty(
        &self,
        connection: &mut SqliteConnection,
        aggregate: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Mark>> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(DIRTY)
            .bind(&self.source)
            .bind(aggregate)
            .bind(after)
            .bind(limit as i64)
            .fetch_all(connection)
            .await?;
        let mark = |(key, mark, occurred_ms)| Mark { key, mark, occurred_ms };
        Ok(rows.into_iter().map(mark).collect())
    }

    pub(super) async fn dirty_count(&self, connection: &mut SqliteConnection) -> Result<u64> {
        let count: i64 =
            sqlx::query_scalar(DIRTY_COUNT).bind(&self.source).fetch_one(connection).await?;
        Ok(count.cast_unsigned())
    }

    /// Digests of the states last delivered.
    pub(super) async fn digests(
        &self,
        connection: &mut SqliteConnection,
        aggregate: &str,
        keys: &[&str],
    ) -> Result<HashMap<String, String>> {
        let rows: Vec<(String, String)> = sqlx::query_as(DIGESTS)
            .bind(&self.source)
            .bind(aggregate)
            .bind(json!(keys).to_string())
            .fetch_all(connection)
            .await?;
        Ok(rows.into_iter().collect())
    }

    pub(super) async fn delivered(
        &self,
        connection: &mut SqliteConnection,
        states: impl Iterator<Item = (&str, &str, &str, Option<&str>)>,
    ) -> Result<()> {
        let entry = |(aggregate, key, digest, ignored)| json!([aggregate, key, digest, ignored]);
        self.list(connection, DELIVERED, states.map(entry).collect()).await
    }

    pub(super) async fn ignored(&self, connection: &mut SqliteConnection) -> Result<Vec<Ignored>> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as(IGNORED).bind(&self.source).fetch_all(connection).await?;
        let ignored = |(aggregate, reason, roots): (String, String, i64)| Ignored {
            aggregate,
            reason,
            roots: roots.cast_unsigned(),
        };
        Ok(rows.into_iter().map(ignored).collect())
    }

    pub(super) async fn quarantine(
        &self,
        connection: &mut SqliteConnection,
        entries: impl Iterator<Item = (&str, &str, i64, &str)>,
        since: &str,
    ) -> Result<()> {
        let entry = |(aggregate, key, mark, reason)| json!([aggregate, key, mark, reason]);
        let entries: Vec<Value> = entries.map(entry).collect();
        if !entries.is_empty() {
            sqlx::query(QUARANTINE)
                .bind(&self.source)
                .bind(Value::Array(entries).to_string())
                .bind(since)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn release(
        &self,
        connection: &mut SqliteConnection,
        roots: impl Iterator<Item = (&str, &str, i64)>,
    ) -> Result<()> {
        let entries = roots.map(|(aggregate, key, mark)| json!([aggregate, key, mark])).collect();
        self.list(connection, RELEASE, entries).await
    }

    pub(super) async fn quarantined(&self, connection: &mut SqliteConnection) -> Result<u64> {
        let count: i64 =
            sqlx::query_scalar(QUARANTINED).bind(&self.source).fetch_one(connection).await?;
        Ok(count.cast_unsigned())
    }

    pub(super) async fn quarantine_list(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<(String, String, String, String)>> {
        sqlx::query_as(QUARANTINE_LIST).bind(&self.source).fetch_all(connection).await
    }

    /// Marks what is in quarantine dirty again.
    pub(super) async fn replay(
        &self,
        connection: &mut SqliteConnection,
        mark: i64,
        occurred_ms: i64,
    ) -> Result<()> {
        sqlx::query(REPLAY)
            .bind(&self.source)
            .bind(mark)
            .bind(occurred_ms)
            .execute(connection)
            .await?;
        Ok(())
    }
}
