//! Compares the contracts with what was published, and explains problems to the developer.

use std::collections::BTreeSet;

use event_contract::PublishedEvent;

use super::compatibility::{self, Breach};
use super::record::Record;
use crate::describe::Descriptions;

/// Result of the comparison.
#[derive(Default)]
pub struct Verdict {
    /// Incompatible changes.
    pub problems: Vec<Problem>,
    /// Event versions that are not published yet.
    pub new: Vec<&'static str>,
    /// Event versions with compatible changes.
    pub extended: Vec<&'static str>,
}

impl Verdict {
    /// Returns whether there are no problems.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// An event version that is incompatible with what was published.
pub struct Problem {
    event_type: String,
    what: What,
}

enum What {
    /// A version changed incompatibly, compared with its last state or with that of a former commit.
    Broken { breach: Breach, former: Option<String>, next: String },
    /// No contract has the version any longer.
    GivenUp,
    /// A version has no upcaster from the previous one.
    NoUpcaster { before: String },
}

impl Problem {
    /// Returns the problem, the affected modules and the remedy.
    pub fn explain(&self, modules: &Descriptions) -> String {
        let event_type = &self.event_type;
        let consumers = consumers(modules, event_type);
        match &self.what {
            What::Broken { breach, former, next } => {
                let after = former.as_ref().map(|commit| format!(" after {commit}"));
                let optional = match breach.could_be_optional() {
                    true => "Make it optional with #[serde(default)], or publish",
                    false => "Publish",
                };
                format!(
                    "{event_type}: {breach}{}; {consumers}. {optional} {next} and an upcaster.",
                    after.unwrap_or_default()
                )
            }
            What::GivenUp => format!(
                "{event_type} was published, but no contract has it any longer; {consumers}. Its \
                 events are stored for ever: restore its type and read it through an upcaster."
            ),
            What::NoUpcaster { before } => format!(
                "{event_type} has no upcaster from {before}: stored events of that version could not \
                 be read any longer; {consumers}. Write the conversion and name it in `UPCASTER`."
            ),
        }
    }
}

/// Returns the list of consumers, such as `consumers: billing, payments`.
fn consumers(modules: &Descriptions, event_type: &str) -> String {
    let names = modules.consumers_of(event_type);
    if names.is_empty() {
        return "consumers: none in another module".to_owned();
    }
    format!("consumers: {}", names.join(", "))
}

/// Compares contracts with what was published.
pub fn judge(contracts: &[&'static PublishedEvent], record: &Record) -> Verdict {
    let mut verdict = Verdict::default();
    for event in contracts {
        let event_type = event.event_type;
        verdict.problems.extend(without_upcaster(event));
        let Some(states) = record.states.get(event_type) else {
            verdict.new.push(event_type);
            continue;
        };
        let schema = event.schema().to_value();
        let mut found: Vec<Breach> = Vec::new();
        for state in states {
            for breach in compatibility::breaches(&state.schema, &schema) {
                if !found.contains(&breach) {
                    found.push(breach.clone());
                    let former = state.former.clone();
                    let what =
                        What::Broken { breach, former, next: next_version(event_type, contracts) };
                    verdict.problems.push(Problem { event_type: event_type.to_owned(), what });
                }
            }
        }
        if found.is_empty() && states.first().is_some_and(|last| last.schema != schema) {
            verdict.extended.push(event_type);
        }
    }
    let known: BTreeSet<&str> = contracts.iter().map(|event| event.event_type).collect();
    let given_up = record.states.keys().filter(|published| !known.contains(published.as_str()));
    verdict.problems.extend(
        given_up.map(|event_type| Problem { event_type: event_type.clone(), what: What::GivenUp }),
    );
    verdict
}

/// Returns a problem if a version after the first cannot read the previous one.
fn without_upcaster(event: &PublishedEvent) -> Option<Problem> {
    let (family, version) = numbered(event.event_type)?;
    let before = format!("{family}.v{}", version.checked_sub(1).filter(|before| *before > 0)?);
    let reads_it = event.readable_types().contains(&before.as_str());
    let event_type = event.event_type.to_owned();
    (!reads_it).then_some(Problem { event_type, what: What::NoUpcaster { before } })
}

/// Returns the next version to publish, such as `v3` if there are two.
fn next_version(event_type: &str, contracts: &[&PublishedEvent]) -> String {
    let Some((family, _)) = numbered(event_type) else { return "a new version".to_owned() };
    let versions = contracts.iter().filter_map(|event| numbered(event.event_type));
    let last = versions.filter(|(other, _)| *other == family).map(|(_, version)| version).max();
    format!("v{}", last.unwrap_or_default() + 1)
}

/// Splits `orders.OrderPlaced.v2` into the name `orders.OrderPlaced` and version 2.
fn numbered(event_type: &str) -> Option<(&str, u32)> {
    let (family, version) = event_type.rsplit_once(".v")?;
    Some((family, version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::super::record::State;
    use super::*;

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct LampLitV1 {
        by: String,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct LampLitV2 {
        by: String,
        at: Option<u32>,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct LampLitV3 {
        who: String,
    }

    event_contract::published! {
        "house.LampLit.v1": LampLitV1;
        "house.LampLit.v2": LampLitV2, from LampLitV1;
        "house.LampLit.v3": LampLitV3;
    }

    impl From<LampLitV1> for LampLitV2 {
        fn from(older: LampLitV1) -> Self {
            Self { by: older.by, at: None }
        }
    }

    const ONE: PublishedEvent = PublishedEvent::of::<LampLitV1>();
    const TWO: PublishedEvent = PublishedEvent::of::<LampLitV2>();
    const THREE: PublishedEvent = PublishedEvent::of::<LampLitV3>();

    fn messages(verdict: &Verdict) -> Vec<String> {
        verdict.problems.iter().map(|one| one.explain(&Descriptions(Vec::new()))).collect()
    }

    /// A record of one version, from its last state to its first.
    fn record(event: &PublishedEvent, states: Vec<Value>) -> Record {
        let state = |(index, schema)| State {
            schema,
            former: (index > 0).then(|| format!("commit{index}")),
        };
        let states = states.into_iter().enumerate().map(state).collect();
        Record {
            what: "a test".to_owned(),
            states: BTreeMap::from([(event.event_type.to_owned(), states)]),
        }
    }

    #[test]
    fn a_new_version_with_an_upcaster_is_sound() {
        let verdict = judge(&[&ONE, &TWO], &record(&ONE, vec![ONE.schema().to_value()]));
        assert!(verdict.is_sound(), "{:?}", messages(&verdict));
        assert_eq!(verdict.new, ["house.LampLit.v2"]);
    }

    #[test]
    fn a_new_version_without_an_upcaster_is_refused() {
        let verdict = judge(&[&ONE, &TWO, &THREE], &record(&ONE, vec![ONE.schema().to_value()]));
        let [message] = &*messages(&verdict) else { panic!("{:?}", messages(&verdict)) };
        assert!(
            message.starts_with("house.LampLit.v3 has no upcaster from house.LampLit.v2: "),
            "{message}"
        );
    }

    #[test]
    fn a_new_version_does_not_make_up_for_the_lost_one() {
        let verdict = judge(&[&TWO], &record(&ONE, vec![ONE.schema().to_value()]));
        assert!(
            messages(&verdict)[0].starts_with("house.LampLit.v1 was published, but no contract")
        );
    }

    #[test]
    fn every_earlier_state_of_a_version_counts() {
        let now = ONE.schema().to_value();
        let mut with_more = now.clone();
        with_more["properties"]["at"] = json!({ "type": "integer" });
        // What was added after a commit and has gone since.
        let verdict =
            judge(&[&ONE], &record(&ONE, vec![now.clone(), with_more.clone(), now.clone()]));
        assert_eq!(
            messages(&verdict),
            ["house.LampLit.v1: field `at` was removed after commit1; consumers: none in another \
              module. Publish v2 and an upcaster."]
        );
        // The same breach is reported once, of the last state that has the field.
        let verdict = judge(&[&ONE, &TWO], &record(&ONE, vec![with_more.clone(), with_more]));
        assert_eq!(
            messages(&verdict),
            [
                "house.LampLit.v1: field `at` was removed; consumers: none in another module. Publish \
              v3 and an upcaster."
            ]
        );
    }

    #[test]
    fn what_could_be_optional_is_to_be_that_first() {
        let mut before = ONE.schema().to_value();
        before["properties"].as_object_mut().unwrap().remove("by").unwrap();
        before["required"] = json!([]);
        let verdict = judge(&[&ONE], &record(&ONE, vec![before]));
        assert!(messages(&verdict)[0].contains("Make it optional with #[serde(default)]"));
    }
}
