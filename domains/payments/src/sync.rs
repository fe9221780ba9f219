//! The import of payments: `payments.SyncPayment`.

use kernel::sync::{LegacyAggregate, Objection};

use crate::domain::{Command, Event, LegacyPatch, LegacyReport, PaymentDecider, Refusal};

impl LegacyAggregate for PaymentDecider {
    const COMMAND: &'static str = "payments.SyncPayment";
    type Said = LegacyPatch;

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
            Refusal::Incomplete(_) => Objection::NotUnderstood,
            _ => Objection::Unforeseen,
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::sync::{Patch, understand};
    use payments_contract::ImportedPaymentStatus;
    use serde_json::{Value, json};

    use super::*;

    fn complaint(state: &Value) -> String {
        understand::<LegacyPatch>(state).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        for (state, named) in [
            (json!({ "iban": "Ada Martin" }), "the state holds a field"),
            (json!({ "ammount": "Ada Martin" }), "unknown field `ammount`"),
            (json!({ "status": "Ada Martin" }), "status"),
            (json!({ "amount": "Ada Martin" }), "amount"),
            (json!({ "currency": ["Ada Martin"] }), "currency"),
            (json!({ "date": "Ada Martin" }), "date"),
            (json!({ "invoice_id": "Ada Martin" }), "invoice_id"),
            (json!({ "reconciled": "Ada Martin" }), "reconciled"),
            (json!({ "status": null }), "status"),
            (json!({ "amount": null }), "amount"),
            (json!({ "currency": null }), "currency"),
        ] {
            let text = complaint(&state);
            assert!(text.contains(named), "{text:?} does not name {named}");
            assert!(!text.contains("Ada"), "{text:?} quotes a value");
        }
    }

    #[test]
    fn absent_keeps_null_clears_and_a_value_sets() {
        let state = json!({
            "status": "captured", "amount": "12.3400", "currency": "EUR", "date": null,
            "reconciled": true
        });
        let patch: LegacyPatch = understand(&state).unwrap();
        assert_eq!(patch.status, Some(ImportedPaymentStatus::Captured));
        assert_eq!(patch.amount.unwrap().to_string(), "12.3400");
        assert_eq!(patch.date, Patch::Clear);
        assert_eq!(patch.invoice_id, Patch::Keep);
        assert_eq!(patch.reconciled, Patch::Set(true));
    }
}
