//! The command that imports an order of a legacy system: `orders.SyncOrder`.

use kernel::sync::{LegacyAggregate, Objection};

use crate::domain::{Command, Event, LegacyOrder, LegacyReport, OrderDecider, Refusal};

impl LegacyAggregate for OrderDecider {
    const COMMAND: &'static str = "orders.SyncOrder";
    type Said = LegacyOrder;

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
            Refusal::IncompleteReport { .. } => Objection::NotUnderstood,
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
        understand::<LegacyOrder>(state).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        for (state, named) in [
            (json!({ "statuss": "confirmed" }), "statuss"),
            (json!({ "status": "Ada Martin" }), "status"),
            (json!({ "note": { "Ada Martin": 1 } }), "note"),
            (json!({ "note": 17 }), "note"),
            (json!({ "customer_id": "Ada Martin" }), "customer_id"),
            (json!({ "date": "Ada Martin" }), "date"),
            (json!({ "total": "Ada Martin" }), "total"),
            (json!({ "currency": "eur" }), "`currency` is invalid: expected three capital letters"),
            (json!({ "currency": "Ada Martin" }), "such as EUR"),
            (json!({ "comments": ["fine", { "Ada Martin": 1 }] }), "comments[1]"),
            (json!({ "lines": [{ "sku": "", "description": "Ada Martin" }] }), "quantity"),
            (
                json!({ "lines": [{ "sku": "", "description": "", "quantity": "Ada Martin", "unit_price": "1" }] }),
                "lines[0].quantity",
            ),
            (
                json!({ "lines": [{ "sku": "", "description": "", "quantity": "1", "unit_price": "1", "extra": 1 }] }),
                "`lines[0]` holds a field that is not known",
            ),
        ] {
            let text = complaint(&state);
            assert!(text.contains(named), "{text:?} does not name {named}");
            assert!(!text.contains("Ada"), "{text:?} quotes a value");
        }
    }
}
