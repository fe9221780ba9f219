//! The import's bookkeeping beside the mirror: progress, dirty aggregates, outbox, delivered states and
//! quarantine. All of it is in the mirror's database, so that it changes in one transaction with the
//! rows.

pub(super) mod statements;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use database::{DatabaseError, Executor, Row, Statement, Transaction};
use serde::Serialize;
use uuid::Uuid;

use super::QuarantineId;
use super::deliver::{Command, Stated};
use super::feed::Cursor;
use super::summary::Ignored;
use crate::erasure::{SUPPRESS, SUPPRESSED};
use crate::files::{FilePosition, Head};
use crate::mapping::Mapping;
use crate::suppression::Digest;
use statements as sql;

type Result<T> = std::result::Result<T, DatabaseError>;

/// The progress of an import, apart from the files.
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

/// A file that was read before.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub(super) id: i64,
    pub(super) head: Head,
    pub(super) place: FilePosition,
}

impl KnownFile {
    fn read(row: &Row) -> Result<Self> {
        let length: i64 = row.get("head_length")?;
        let number = |column| Ok::<u64, DatabaseError>(row.get::<i64>(column)?.cast_unsigned());
        Ok(Self {
            id: row.get("id")?,
            head: Head {
                length: usize::try_from(length).unwrap_or_default(),
                digest: row.get("head_digest")?,
            },
            place: FilePosition {
                offset: number("read_to")?,
                line: number("line")?,
                tail_length: number("tail_length")?,
                tail_checksum: u32::try_from(number("tail_checksum")?).unwrap_or_default(),
                position: row.get::<Option<i64>>("position")?.unwrap_or_default(),
            },
        })
    }
}

/// Reads a command of the outbox with the name of its aggregate, whose id is still to be set.
fn posted(row: &Row) -> Result<(Command, String)> {
    let command = Command {
        seq: row.get("seq")?,
        root: (0, row.get("key")?),
        mark: row.get("mark")?,
        occurred_ms: row.get("occurred_ms")?,
        correlation: row.get("correlation")?,
        digest: row.get("digest")?,
        stated: match row.get("state")? {
            Some(state) => Stated::Present(state),
            None => Stated::Absent(row.get::<Option<String>>("absent")?.unwrap_or_default()),
        },
    };
    Ok((command, row.get("aggregate")?))
}

/// The statements of one source's bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) source: String,
    /// Identifies this run, so that two runs cannot both write.
    pub(super) run: Uuid,
}

impl Ledger {
    /// Takes the source over from earlier runs. Also returns whether the mirror's content matches this
    /// mapping.
    pub(super) async fn begin(
        &self,
        transaction: &mut Transaction,
        mapping: &Mapping,
    ) -> Result<(State, bool)> {
        let before = transaction.query(&sql::MAPPING).bind(&self.source).scalar_optional();
        let before: Option<String> = before.await?;
        let begin = transaction.query(&sql::BEGIN).bind(&self.source).bind(self.run);
        let begin = begin.bind(&mapping.mirror_fingerprint).bind(&mapping.text);
        let row = begin.fetch_one().await?;
        let cursor = Cursor {
            transaction: row.get("open_transaction")?,
            in_snapshot: row.get("in_snapshot")?,
            snapshot_end: row.get("snapshot_end")?,
        };
        let (spilled, last_mark) = (row.get("spilled")?, row.get("last_mark")?);
        let mut is_same = row.get::<String>("mirror_fingerprint")? == mapping.mirror_fingerprint;
        if !is_same && !mapping.has_typed_keys() {
            // An earlier release included more in the fingerprint than the mirror depends on.
            let before = before.and_then(|text| Mapping::stored(&text).ok());
            is_same = before
                .is_some_and(|before| before.mirror_fingerprint == mapping.mirror_fingerprint);
            if is_same {
                let set = transaction.query(&sql::SET_MIRROR_FINGERPRINT).bind(&self.source);
                set.bind(&mapping.mirror_fingerprint).execute().await?;
            }
        }
        Ok((State { cursor, spilled, last_mark }, is_same))
    }

    /// Returns the digests of the rows that belong to erased people.
    pub(super) async fn suppressed(&self, transaction: &mut Transaction) -> Result<Vec<Digest>> {
        let digests = transaction.query(&SUPPRESSED).bind(&self.source).scalars::<String>().await?;
        let digest = |text: String| {
            let mut digest = Digest::default();
            hex::decode_to_slice(text, &mut digest).map_err(|_| DatabaseError::Damaged {
                column: "digest".to_owned(),
                reason: "it is not a digest".to_owned(),
            })?;
            Ok(digest)
        };
        digests.into_iter().map(digest).collect()
    }

    /// Stores the digests of further rows that belong to erased people.
    pub(super) async fn suppress(
        &self,
        transaction: &mut Transaction,
        digests: &[Digest],
    ) -> Result<()> {
        let digests: Vec<String> = digests.iter().map(hex::encode).collect();
        self.list(transaction, &SUPPRESS, &digests).await
    }

    /// Stores the progress; returns `false` if another run took over. Until the transaction ends no run
    /// can take over.
    pub(super) async fn advance(
        &self,
        transaction: &mut Transaction,
        state: &State,
    ) -> Result<bool> {
        let advance = transaction
            .query(&sql::ADVANCE)
            .bind(&self.source)
            .bind(self.run)
            .bind(state.cursor.transaction)
            .bind(state.cursor.in_snapshot)
            .bind(state.spilled)
            .bind(state.last_mark)
            .bind(state.cursor.snapshot_end);
        Ok(advance.execute().await? == 1)
    }

    /// Returns whether the documents or program of an aggregate changed since the last run; stores
    /// them.
    pub(super) async fn is_new(
        &self,
        transaction: &mut Transaction,
        aggregate: &str,
        fingerprint: &str,
    ) -> Result<bool> {
        let stored = transaction.query(&sql::FINGERPRINT).bind(&self.source).bind(aggregate);
        let stored: Option<String> = stored.scalar_optional().await?;
        let set = transaction.query(&sql::SET_FINGERPRINT).bind(&self.source).bind(aggregate);
        set.bind(fingerprint).execute().await?;
        Ok(stored.as_deref() != Some(fingerprint))
    }

    /// Marks every aggregate of a kind dirty.
    pub(super) async fn mark_all(
        &self,
        transaction: &mut Transaction,
        aggregate: &str,
        table: &str,
        mark: i64,
        occurred_ms: i64,
    ) -> Result<()> {
        let mark_all = transaction.query(&sql::MARK_ALL).bind(&self.source).bind(aggregate);
        mark_all.bind(table).bind(mark).bind(occurred_ms).execute().await?;
        Ok(())
    }

    pub(super) async fn files(&self, transaction: &mut Transaction) -> Result<Vec<KnownFile>> {
        let rows = transaction.query(&sql::FILES).bind(&self.source).fetch_all().await?;
        rows.iter().map(KnownFile::read).collect()
    }

    /// Registers a file that was not read before.
    pub(super) async fn new_file(&self, transaction: &mut Transaction, name: &str) -> Result<i64> {
        transaction.query(&sql::NEW_FILE).bind(&self.source).bind(name).scalar().await
    }

    /// Stores how far a file was read, and its identity.
    pub(super) async fn read_to(
        &self,
        transaction: &mut Transaction,
        file: i64,
        place: FilePosition,
        head: &Head,
    ) -> Result<()> {
        let read_to = transaction
            .query(&sql::READ_TO)
            .bind(file)
            .bind(place.offset.cast_signed())
            .bind(place.line.cast_signed())
            .bind(place.tail_length.cast_signed())
            .bind(i64::from(place.tail_checksum))
            .bind(head.length as i64)
            .bind(&head.digest)
            .bind(place.position);
        read_to.execute().await?;
        Ok(())
    }

    /// Executes one of the statements that take a list.
    async fn list<T: Serialize>(
        &self,
        transaction: &mut Transaction,
        statement: &Statement,
        entries: &[T],
    ) -> Result<()> {
        if !entries.is_empty() {
            let query = transaction.query(statement).bind(&self.source).bind_json(entries);
            query.execute().await?;
        }
        Ok(())
    }

    pub(super) async fn mark(
        &self,
        transaction: &mut Transaction,
        marks: impl Iterator<Item = (&str, &Mark)>,
    ) -> Result<()> {
        let entries = marks.map(|(aggregate, Mark { key, mark, occurred_ms })| {
            (aggregate, key, mark, occurred_ms)
        });
        self.list(transaction, &sql::MARK, &entries.collect::<Vec<_>>()).await
    }

    pub(super) async fn unmark(
        &self,
        transaction: &mut Transaction,
        marks: impl Iterator<Item = (&str, &str, i64)>,
    ) -> Result<()> {
        self.list(transaction, &sql::UNMARK, &marks.collect::<Vec<_>>()).await
    }

    /// Adds commands to the outbox, each with the name of its aggregate.
    pub(super) async fn post(
        &self,
        transaction: &mut Transaction,
        commands: impl Iterator<Item = (&str, &Command)>,
    ) -> Result<()> {
        let entries = commands.map(|(aggregate, command)| {
            let Command { seq, root, mark, occurred_ms, correlation, digest, stated } = command;
            let (state, absent) = match stated {
                Stated::Present(state) => (Some(state), None),
                Stated::Absent(why) => (None, Some(why)),
            };
            let correlation = correlation.simple().to_string();
            (seq, aggregate, &root.1, mark, occurred_ms, correlation, digest, state, absent)
        });
        self.list(transaction, &sql::POST, &entries.collect::<Vec<_>>()).await
    }

    /// Returns a page of the outbox after a sequence number: commands with the names of their
    /// aggregates, whose ids are still to be set.
    pub(super) async fn posted<'c>(
        &self,
        of: impl Executor<'c>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(Command, String)>> {
        let page = of.query(&sql::POSTED).bind(&self.source).bind(after).bind(limit as i64);
        page.fetch_all().await?.iter().map(posted).collect()
    }

    /// Returns the last used sequence number of the outbox.
    pub(super) async fn last_seq(&self, transaction: &mut Transaction) -> Result<i64> {
        transaction.query(&sql::LAST_SEQ).bind(&self.source).scalar().await
    }

    /// Removes commands from the outbox.
    pub(super) async fn answered(
        &self,
        transaction: &mut Transaction,
        commands: impl Iterator<Item = i64>,
    ) -> Result<()> {
        self.list(transaction, &sql::ANSWERED, &commands.collect::<Vec<_>>()).await
    }

    /// Returns a page of dirty roots of one kind, after a key.
    pub(super) async fn dirty<'c>(
        &self,
        of: impl Executor<'c>,
        aggregate: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Mark>> {
        let page = of.query(&sql::DIRTY).bind(&self.source).bind(aggregate).bind(after);
        let rows = page.bind(limit as i64).fetch_all().await?;
        let mark = |row: &Row| {
            let (key, mark) = (row.get("key")?, row.get("mark")?);
            Ok(Mark { key, mark, occurred_ms: row.get("occurred_ms")? })
        };
        rows.iter().map(mark).collect()
    }

    pub(super) async fn dirty_count<'c>(&self, of: impl Executor<'c>) -> Result<u64> {
        self.count(of, &sql::DIRTY_COUNT).await
    }

    /// Returns the number of commands in the outbox.
    pub(super) async fn waiting<'c>(&self, of: impl Executor<'c>) -> Result<u64> {
        self.count(of, &sql::WAITING).await
    }

    /// Returns the number of aggregates of a kind that modules have and the restarted mirror does not.
    pub(super) async fn missing<'c>(
        &self,
        of: impl Executor<'c>,
        aggregate: &str,
        table: &str,
    ) -> Result<u64> {
        let missing = of.query(&sql::MISSING).bind(&self.source).bind(aggregate).bind(table);
        Ok(missing.scalar::<i64>().await?.cast_unsigned())
    }

    /// Returns whether modules have an aggregate that was not sent since the mirror was restarted.
    pub(super) async fn has_unsent<'c>(&self, of: impl Executor<'c>) -> Result<bool> {
        Ok(self.count(of, &sql::ANY_UNSENT).await? > 0)
    }

    /// Ends the search for aggregates that were not sent.
    pub(super) async fn keep_missing(&self, transaction: &mut Transaction) -> Result<()> {
        transaction.query(&sql::KEEP_MISSING).bind(&self.source).execute().await?;
        Ok(())
    }

    /// Returns whether the mirror has any row of a table.
    pub(super) async fn has_rows_of<'c>(&self, of: impl Executor<'c>, table: &str) -> Result<bool> {
        let any = of.query(&sql::ANY_ROW_OF).bind(&self.source).bind(table);
        Ok(any.scalar::<i64>().await? > 0)
    }

    /// Treats the rows of missing aggregates as deleted, and marks the aggregates dirty.
    pub(super) async fn bury_missing(
        &self,
        transaction: &mut Transaction,
        aggregate: &str,
        table: &str,
        mark: i64,
        occurred_ms: i64,
    ) -> Result<()> {
        let bury = transaction.query(&sql::BURY_MISSING).bind(&self.source);
        bury.bind(aggregate).bind(table).execute().await?;
        let mark_missing = transaction.query(&sql::MARK_MISSING).bind(&self.source);
        let mark_missing = mark_missing.bind(aggregate).bind(table).bind(mark).bind(occurred_ms);
        mark_missing.execute().await?;
        Ok(())
    }

    /// Deletes the dirty marks and quarantine entries of aggregates that the mapping no longer has. If
    /// it has them again, all of them are assembled.
    pub(super) async fn keep_only(
        &self,
        transaction: &mut Transaction,
        aggregates: &[&str],
    ) -> Result<()> {
        for statement in [&sql::KEEP_DIRTY, &sql::KEEP_QUARANTINE, &sql::KEEP_FINGERPRINTS] {
            let query = transaction.query(statement).bind(&self.source).bind_json(aggregates);
            query.execute().await?;
        }
        Ok(())
    }

    /// Returns whether the mirror has any row of this source.
    pub(super) async fn has_rows<'c>(&self, of: impl Executor<'c>) -> Result<bool> {
        Ok(self.count(of, &sql::ANY_ROW).await? > 0)
    }

    async fn count<'c>(&self, of: impl Executor<'c>, statement: &Statement) -> Result<u64> {
        let count: i64 = of.query(statement).bind(&self.source).scalar().await?;
        Ok(count.cast_unsigned())
    }

    /// Returns the digests of the last delivered states.
    pub(super) async fn digests<'c>(
        &self,
        of: impl Executor<'c>,
        aggregate: &str,
        keys: &[&str],
    ) -> Result<HashMap<String, String>> {
        let digests = of.query(&sql::DIGESTS).bind(&self.source).bind(aggregate).bind_json(keys);
        let rows = digests.fetch_all().await?;
        rows.iter().map(|row| Ok((row.get("key")?, row.get("digest")?))).collect()
    }

    pub(super) async fn delivered(
        &self,
        transaction: &mut Transaction,
        states: impl Iterator<Item = (&str, &str, &str, Option<&str>)>,
    ) -> Result<()> {
        self.list(transaction, &sql::DELIVERED, &states.collect::<Vec<_>>()).await
    }

    pub(super) async fn ignored<'c>(&self, of: impl Executor<'c>) -> Result<Vec<Ignored>> {
        let rows = of.query(&sql::IGNORED).bind(&self.source).fetch_all().await?;
        let ignored = |row: &Row| {
            Ok(Ignored {
                aggregate: row.get("aggregate")?,
                reason: row.get("ignored")?,
                roots: row.get::<i64>("roots")?.cast_unsigned(),
            })
        };
        rows.iter().map(ignored).collect()
    }

    /// Puts aggregates into quarantine, each once.
    pub(super) async fn quarantine(
        &self,
        transaction: &mut Transaction,
        entries: impl Iterator<Item = (&str, &str, i64, &str)>,
        since: DateTime<Utc>,
    ) -> Result<()> {
        // Databases cannot store a NUL character in text, and a program may put one into its error.
        let entries = entries.map(|(aggregate, key, mark, why)| {
            (aggregate, key, mark, why.replace('\0', "\u{fffd}"))
        });
        let entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            let query = transaction.query(&sql::QUARANTINE).bind(&self.source).bind_json(&entries);
            query.bind(since).execute().await?;
        }
        Ok(())
    }

    pub(super) async fn release(
        &self,
        transaction: &mut Transaction,
        roots: impl Iterator<Item = (&str, &str, i64)>,
    ) -> Result<()> {
        self.list(transaction, &sql::RELEASE, &roots.collect::<Vec<_>>()).await
    }

    pub(super) async fn quarantined<'c>(&self, of: impl Executor<'c>) -> Result<u64> {
        self.count(of, &sql::QUARANTINED).await
    }

    /// Marks quarantined aggregates dirty again: one or all.
    pub(super) async fn replay(
        &self,
        transaction: &mut Transaction,
        one: Option<&QuarantineId>,
        mark: i64,
        occurred_ms: i64,
    ) -> Result<()> {
        let statement = if one.is_some() { &sql::REPLAY_ONE } else { &sql::REPLAY };
        let mut replay = transaction.query(statement).bind(&self.source).bind(mark);
        replay = replay.bind(occurred_ms);
        if let Some(one) = one {
            replay = replay.bind(&one.aggregate).bind(&one.key);
        }
        replay.execute().await?;
        Ok(())
    }
}
