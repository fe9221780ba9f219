//! The command that imports a customer of a legacy system: `customers.SyncCustomer`.
//!
//! Imported customers may share e-mail addresses, so the command claims none.

use kernel::sync::{LegacyAggregate, Objection};

use crate::domain::imported::{LegacyCustomer, LegacyReport};
use crate::domain::{Command, CustomerDecider, Event, Refusal};

impl LegacyAggregate for CustomerDecider {
    const COMMAND: &'static str = "customers.SyncCustomer";
    type Said = LegacyCustomer;

    fn sync(report: LegacyReport) -> Command {
        Command::Sync(Box::new(report))
    }

    fn changed(event: &Event) -> Option<&[String]> {
        match event {
            Event::Revised(revised) => Some(&revised.changed),
            _ => None,
        }
    }

    fn objection(refusal: &Refusal) -> Objection {
        match refusal {
            Refusal::OwnedByBascule => Objection::OwnedByBascule,
            Refusal::CustomerErased => Objection::Erased,
            _ => Objection::Unforeseen,
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::sync::understand;
    use serde_json::{Value, json};

    use super::*;

    fn complaint(state: &Value) -> String {
        understand::<LegacyCustomer>(state).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        for (state, named) in [
            (json!({ "mail": "ada@exemple.fr" }), "mail"),
            (json!({ "kind": "Ada Martin" }), "kind"),
            (json!({ "status": "Ada Martin" }), "status"),
            (json!({ "name": ["Ada Martin"] }), "name"),
            (json!({ "email": { "Ada Martin": 1 } }), "email"),
            (json!({ "address": "Ada Martin" }), "address"),
            (json!({ "address": { "city": ["Ada Martin"] } }), "address.city"),
            (json!({ "address": { "town": "Ada Martin" } }), "`address` holds a field"),
            (json!({ "flags": ["fine", ["Ada Martin"]] }), "flags[1]"),
        ] {
            let text = complaint(&state);
            assert!(text.contains(named), "{text:?} does not name {named}");
            assert!(!text.contains("Ada"), "{text:?} quotes a value");
        }
    }
}
