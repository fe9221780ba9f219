//! The import of invoices and credit notes: `billing.SyncInvoice`.

use kernel::sync::{LegacyAggregate, Objection};

use crate::domain::{Command, Event, InvoiceDecider, LegacyInvoice, LegacyReport, Refusal};

impl LegacyAggregate for InvoiceDecider {
    const COMMAND: &'static str = "billing.SyncInvoice";
    type Said = LegacyInvoice;

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
        understand::<LegacyInvoice>(state).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        for (state, named) in [
            (json!({ "statuss": "paid" }), "statuss"),
            (json!({ "status": "Ada Martin" }), "status"),
            (json!({ "kind": "Ada Martin" }), "kind"),
            (json!({ "number": { "Ada Martin": 1 } }), "number"),
            (json!({ "date": "Ada Martin" }), "date"),
            (json!({ "customer_id": "Ada Martin" }), "customer_id"),
            (json!({ "order_ids": ["Ada Martin"] }), "order_ids[0]"),
            (json!({ "total": "Ada Martin" }), "total"),
            (json!({ "vat": [{ "base": "1", "amount": "Ada Martin" }] }), "vat[0].amount"),
            (json!({ "vat": [{ "amount": "1" }] }), "base"),
            (
                json!({ "vat": [{ "base": "1", "amount": "1", "extra": 1 }] }),
                "`vat[0]` holds a field",
            ),
        ] {
            let text = complaint(&state);
            assert!(text.contains(named), "{text:?} does not name {named}");
            assert!(!text.contains("Ada"), "{text:?} quotes a value");
        }
    }
}
