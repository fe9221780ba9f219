//! The retention period of a customer's documents and of the personal data in them.
//!
//! Accounting documents and their vouchers are kept for ten years (Code de commerce, article L123-22:
//! "Les documents comptables et les pièces justificatives sont conservés pendant dix ans"), counted
//! from the close of the fiscal year that they belong to. The fiscal year is assumed to be the calendar
//! year. When the period is over, the erasure of the customer takes effect on them; this is an event in
//! the stream `retention-<customer>`.

use chrono::{Datelike as _, NaiveDate};
use customers_contract::CustomerId;
use kernel::decider::{Context, Decider};
use serde::{Deserialize, Serialize};

/// Returns the last day of the retention of a customer's documents, given the day of the last document.
pub fn retained_until(last_document: NaiveDate, years: u16) -> NaiveDate {
    NaiveDate::from_ymd_opt(last_document.year() + i32::from(years), 12, 31)
        .unwrap_or(NaiveDate::MAX)
}

/// The retention of an erased customer's documents ended: they no longer name the customer. Internal to
/// this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionEnded {
    /// Erased customer.
    pub customer_id: CustomerId,
}

event_contract::published! {
    "billing.RetentionEnded.v1": RetentionEnded;
}

kernel::event_set! {
    /// The events of the retention of a customer's documents.
    pub enum RetentionEvent { Ended(RetentionEnded) }
}

/// The state of the retention of an erased customer's documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retention {
    /// The documents are retained, or the retention was not examined yet.
    #[default]
    Running,
    /// The retention has ended.
    Ended,
}

/// Ends retentions. The caller determines from the documents that a retention is over.
#[derive(Debug, Clone, Copy)]
pub struct RetentionDecider;

impl Decider for RetentionDecider {
    const CATEGORY: &'static str = "retention";
    type Id = CustomerId;
    type State = Retention;
    type Command = RetentionEnded;
    type Event = RetentionEvent;
    type Refusal = std::convert::Infallible;

    fn decide(
        retention: &Retention,
        ended: RetentionEnded,
        _: &Context,
    ) -> Result<Vec<RetentionEvent>, Self::Refusal> {
        Ok(match retention {
            Retention::Running => vec![ended.into()],
            Retention::Ended => vec![],
        })
    }

    fn evolve(_: Retention, event: &RetentionEvent) -> Retention {
        let RetentionEvent::Ended(_) = event;
        Retention::Ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_to_the_end_of_the_tenth_year_after_theirs() {
        for (last, until) in [("2026-01-01", "2036-12-31"), ("2026-12-31", "2036-12-31")] {
            assert_eq!(retained_until(last.parse().unwrap(), 10).to_string(), until);
        }
        assert_eq!(retained_until("2026-03-01".parse().unwrap(), 0).to_string(), "2026-12-31");
    }

    #[test]
    fn a_retention_ends_once() {
        let context = Context { now: chrono::DateTime::UNIX_EPOCH };
        let ended = RetentionEnded { customer_id: uuid::Uuid::nil().into() };
        let events = RetentionDecider::decide(&Retention::Running, ended.clone(), &context);
        let events = events.unwrap();
        let state = events.iter().fold(Retention::Running, RetentionDecider::evolve);
        assert_eq!(state, Retention::Ended);
        assert!(RetentionDecider::decide(&state, ended, &context).unwrap().is_empty());
    }
}
