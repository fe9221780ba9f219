//! A new start of a mirror, for a mapping that is being drafted or a legacy that was moved.

use database::{Database, Statement};
use uuid::Uuid;

use super::{Import, ImportError};
use crate::erasure::SUPPRESSED;
use crate::mapping::roots::PERSON;
use crate::mapping::{Mapping, Table};

database::statements! {
    /// Every statement of this file.
    #[cfg(test)]
    pub(crate) const STATEMENTS: [Statement];

    const FORGET_FINGERPRINTS: Statement =
        Statement::Same("DELETE FROM capture_aggregate WHERE source = $1");
    const FORGET_FILES: Statement = Statement::Same("DELETE FROM capture_file WHERE source = $1");
    const FORGET_ROWS: Statement = Statement::Same("DELETE FROM mirror_row WHERE source = $1");
    const FORGET_LINKS: Statement = Statement::Same("DELETE FROM mirror_link WHERE source = $1");
    const FORGET_DIRTY: Statement = Statement::Same("DELETE FROM dirty WHERE source = $1");
    const FORGET_OUTBOX: Statement = Statement::Same("DELETE FROM outbox WHERE source = $1");
    const FORGET_IGNORED: Statement =
        Statement::Same("DELETE FROM delivered WHERE source = $1 AND ignored IS NOT NULL");
    const FORGET_DIGESTS: Statement =
        Statement::Same("UPDATE delivered SET digest = '' WHERE source = $1");
    const FORGET_QUARANTINE: Statement = Statement::Same("DELETE FROM quarantine WHERE source = $1");
    /// Resets the source to its state before the first import. It keeps the mapping: erasures use it to
    /// find the rows to empty, and the keys of persons are compared with it if this is interrupted.
    const BEGIN_ANEW: Statement = Statement::Same(
        "UPDATE capture_source SET run = $2, mirror_fingerprint = $3, mapping = $4, \
         open_transaction = NULL, in_snapshot = FALSE, snapshot_end = NULL, spilled = FALSE, \
         last_mark = 0 WHERE source = $1",
    );
    /// Aggregates that were sent as deleted are not missing.
    const FORGET_DELETED: Statement =
        Statement::Same("DELETE FROM delivered WHERE source = $1 AND digest = $2");
}

/// Everything of a source but the digests of erased persons and the list of imported aggregates, whose
/// states are now unknown.
const FORGET: [&Statement; 9] = [
    &FORGET_FINGERPRINTS,
    &FORGET_FILES,
    &FORGET_ROWS,
    &FORGET_LINKS,
    &FORGET_DIRTY,
    &FORGET_OUTBOX,
    &FORGET_IGNORED,
    &FORGET_DIGESTS,
    &FORGET_QUARANTINE,
];

/// Deletes the mirror of a source. Erased persons stay erased. `deleted` is the digest of an aggregate
/// that was sent as deleted.
pub(super) async fn forget(
    database: &Database,
    mapping: &Mapping,
    deleted: &str,
) -> Result<(), ImportError> {
    let source = &mapping.source;
    let mut transaction = database.begin().await?;
    if let Some(before) = Import::mapping_of(&mut transaction, source).await?
        && let Some(table) = other_people(&before, mapping)
    {
        let erased = transaction.query(&SUPPRESSED).bind(source).scalars::<String>().await?;
        if !erased.is_empty() {
            let table = table.name.clone();
            return Err(ImportError::ErasedByOtherKeys { table });
        }
    }
    // First, so that a running import can no longer write.
    let begin = transaction.query(&BEGIN_ANEW).bind(source).bind(Uuid::nil());
    begin.bind(&mapping.mirror_fingerprint).bind(&mapping.text).execute().await?;
    transaction.query(&FORGET_DELETED).bind(source).bind(deleted).execute().await?;
    for statement in FORGET {
        transaction.query(statement).bind(source).execute().await?;
    }
    Ok(transaction.commit().await?)
}

/// Returns a table of persons whose keys or ids the two mappings derive differently: the digests of
/// erased persons would no longer match.
fn other_people<'m>(before: &Mapping, now: &'m Mapping) -> Option<&'m Table> {
    let people =
        |mapping: &'m Mapping| mapping.aggregates.iter().filter(|one| one.command == PERSON);
    people(now).map(|one| (one, &now.tables[one.root])).find_map(|(one, table)| {
        let mut known = before.aggregates.iter().filter(|known| {
            known.command == PERSON && before.tables[known.root].name == table.name
        });
        let same = |known: &crate::mapping::Aggregate| {
            known.ids == one.ids && key_form(&before.tables[known.root]) == key_form(table)
        };
        let is_known = before.tables.iter().any(|known| known.name == table.name);
        (is_known && known.clone().next().is_some() && !known.any(same)).then_some(table)
    })
}

fn key_form(table: &Table) -> String {
    let kinds = table.key.iter().map(|column| table.columns.get(column).map(|one| &one.kind));
    format!("{:?}", (&table.key, &table.form, kinds.collect::<Vec<_>>()))
}
