//! Tries all aggregates of a feed and counts which are understood, absent or refused, by reason.

use std::collections::BTreeMap;
use std::process::ExitCode;

use capture::{Mapping, NoSuchRow, Stated, Trial, Tried};
use kernel::sync::StatedCommand;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, answer};
use crate::values::failure::FAILED;
use crate::values::output;

/// Maximum number of distinct reasons; all further ones are counted together as [`OTHERS`].
const REASONS: usize = 200;
const OTHERS: &str = "other reasons";

/// Number of aggregates with the same result, and the key of one of them.
#[derive(Debug, Serialize)]
struct Cases {
    count: u64,
    key: String,
}

/// Numbers of aggregates by reason.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
struct Reasons(BTreeMap<String, Cases>);

impl Reasons {
    fn add(&mut self, reason: &str, key: &str) {
        let is_new = !self.0.contains_key(reason);
        let reason = if is_new && self.0.len() >= REASONS { OTHERS } else { reason };
        let cases = self.0.entry(reason.to_owned());
        cases.or_insert_with(|| Cases { count: 0, key: key.to_owned() }).count += 1;
    }

    fn count(&self) -> u64 {
        self.0.values().map(|cases| cases.count).sum()
    }

    fn tell(&self, what: &str) -> anyhow::Result<()> {
        let mut reasons: Vec<_> = self.0.iter().collect();
        reasons.sort_by_key(|(reason, cases)| (std::cmp::Reverse(cases.count), *reason));
        for (reason, Cases { count, key }) in reasons {
            output::line(format_args!("  {what}: {count} × {reason}, such as {key}"))?;
        }
        Ok(())
    }
}

/// Results of the aggregates of one kind.
#[derive(Debug, Serialize)]
struct Tally {
    aggregate: String,
    command: &'static str,
    understood: u64,
    absent: Reasons,
    refused: Reasons,
    no_such_rows: Reasons,
}

impl Tally {
    fn add(&mut self, tried: &Tried, answer: &Answer) {
        match &tried.result {
            _ if !answer.understood => {
                let why = answer.said.strip_prefix("quarantine: ").unwrap_or(&answer.said);
                self.refused.add(why, &tried.key);
            }
            Ok(Stated::Absent(why)) => self.absent.add(why, &tried.key),
            _ => self.understood += 1,
        }
        for NoSuchRow { uid, .. } in &tried.no_such_rows {
            self.no_such_rows.add(&format!("uid(\"{uid}\")"), &tried.key);
        }
    }
}

/// Tries all aggregates. Returns exit code 1 if an import would put any of them in quarantine.
pub(super) async fn run(
    mapping: &Mapping,
    trial: &Trial,
    commands: &[(String, StatedCommand)],
    as_json: bool,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut refused = 0;
    let mut tallies = Vec::with_capacity(commands.len());
    for (name, command) in commands {
        let tally = tally(mapping, trial, name, command, cancel).await?;
        refused += tally.refused.count();
        tallies.push(tally);
    }
    if as_json {
        output::line(json!({ "aggregates": tallies, "refused": refused }))?;
    } else {
        tallies.iter().try_for_each(tell)?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

async fn tally(
    mapping: &Mapping,
    trial: &Trial,
    name: &str,
    command: &StatedCommand,
    cancel: &CancellationToken,
) -> anyhow::Result<Tally> {
    let mut tally = Tally {
        aggregate: name.to_owned(),
        command: command.name,
        understood: 0,
        absent: Reasons::default(),
        refused: Reasons::default(),
        no_such_rows: Reasons::default(),
    };
    let mut after: Option<String> = None;
    loop {
        let page = trial.page(name, after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(tally) };
        after = Some(last.key.clone());
        for tried in &page {
            anyhow::ensure!(!cancel.is_cancelled(), "interrupted while trying the aggregates");
            let of = (tried.id, &*tried.reference);
            let answer = answer(command, mapping.source(), of, &tried.result).await?;
            tally.add(tried, &answer);
        }
    }
}

fn tell(tally: &Tally) -> anyhow::Result<()> {
    output::line(format_args!(
        "{}: {} understood, {} absent, {} refused",
        tally.aggregate,
        tally.understood,
        tally.absent.count(),
        tally.refused.count()
    ))?;
    tally.absent.tell("absent")?;
    tally.refused.tell("refused")?;
    tally.no_such_rows.tell("no such row in the feed")
}
