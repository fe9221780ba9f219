//! Processing of dirty aggregates, page by page, such as after a snapshot.

use super::super::ImportError;
use super::{Session, Turn, Work};
use crate::assembly::assemble_within;

impl Session<'_> {
    /// Processes all dirty aggregates, page by page. `last` is whether missing rows can no longer
    /// arrive.
    pub(super) async fn drain(&mut self, last: bool) -> Result<(), ImportError> {
        self.settle().await?;
        let mapping = self.import.mapping.clone();
        let (mut done, all) = (0, self.ledger.dirty_count(&self.import.database).await?);
        for (id, aggregate) in mapping.aggregates.iter().enumerate() {
            let mut after = String::new();
            while !self.cancel.is_cancelled() {
                let mut reading = self.import.database.snapshot().await?;
                let page = self.import.sizes.page;
                let marks = self.ledger.dirty(&mut reading, &aggregate.name, &after, page).await?;
                let keys: Vec<String> = marks.iter().map(|mark| mark.key.clone()).collect();
                let (mirror, of) = (&mut self.mirror, (id, &*keys));
                let mut bytes = 0;
                let room = (&mut bytes, self.import.sizes.of_documents());
                let assembled = assemble_within(mirror, &mut reading, &mapping, of, room).await?;
                let Some(end) = assembled.len().checked_sub(1) else { break };
                after.clone_from(&keys[end]);
                let work = marks.into_iter().zip(assembled).map(|(mark, assembled)| Work {
                    root: (id, mark.key),
                    mark: mark.mark,
                    occurred_ms: mark.occurred_ms,
                    assembled,
                });
                let turn = Turn { work: work.collect(), last, ..Turn::default() };
                self.close(reading, turn).await?;
                done += (end + 1) as u64;
                self.snapshot.aggregates = Some((done, all.max(done)));
                self.report();
            }
        }
        self.snapshot.aggregates = None;
        self.settle().await
    }

    /// Counts, or deletes, the aggregates that modules have and a whole new snapshot does not. A table
    /// without any row was most likely forgotten: its aggregates stay.
    pub(super) async fn look_for_missing(&mut self, delete: bool) -> Result<(), ImportError> {
        let mapping = self.import.mapping.clone();
        let roots = || {
            let aggregates = mapping.aggregates.iter();
            aggregates.map(|one| (one.name.as_str(), mapping.tables[one.root].name.as_str()))
        };
        if delete {
            self.state.last_mark += 1;
            let (mark, now) = (self.state.last_mark, self.import.clock.now().timestamp_millis());
            let mut transaction = self.open(&self.state).await?;
            for (name, table) in roots() {
                if !self.ledger.has_rows_of(&mut transaction, table).await? {
                    continue;
                }
                self.ledger.bury_missing(&mut transaction, name, table, mark, now).await?;
            }
            transaction.commit().await?;
            self.committed.state = self.state.clone();
            // The cache contains that these rows do not exist.
            self.mirror.forget();
            self.drain(true).await?;
        }
        for (name, table) in roots() {
            self.summary.missing += self.ledger.missing(&self.import.database, name, table).await?;
        }
        Ok(())
    }
}
