//! How long the law has the documents of a customer kept, and what they say of the person with them.
//!
//! Accounting documents and their vouchers are kept for ten years (Code de commerce, article
//! L123-22: "Les documents comptables et les pièces justificatives sont conservés pendant dix
//! ans"), counted from the close of the fiscal year they belong to. The fiscal year is taken to be
//! the calendar year. An erasure reaches them when that time is over, which is an event in the
//! stream `retention-<customer>`.

use chrono::{Datelike as _, NaiveDate};
use customers_contract::CustomerId;
use kernel::decider::{Context, Decider};
use serde::{Deserialize, Serialize};

/// The last day on which a customer's documents are to be kept, given the day of the last of them.
pub fn retained_until(last_document: NaiveDate, years: u16) -> NaiveDate {
    NaiveDate::from_ymd_opt(last_document.year() + i32::from(years), 12, 31)
        .unwrap_or(NaiveDate::MAX)
}

/// An erased customer's documents no longer need to say whom they are addressed to. Internal to this
/// module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionEnded {
    /// The customer.
    pub customer_id: CustomerId,
}

event_contract::published! {
    "billing.RetentionEnded.v1": RetentionEnded;
}

kernel::event_set! {
    /// What happens to the retention of a customer's documents.
    pub enum RetentionEvent { Ended(RetentionEnded) }
}

/// Whether an erased customer's documents are still retained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retention {
    /// The law has them kept, or nobody has looked yet.
    #[default]
    Running,
    /// Nothing has them kept any more.
    Ended,
}

/// Ends retentions. That it is time to is for the caller to know: it follows from the documents.
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
