//! The numbers of documents issued here: one chronological series a year, without a hole.
//!
//! The rule is French tax law, CGI annexe II article 242 nonies A, I-7°: every invoice bears "un
//! numéro unique basé sur une séquence chronologique et continue". A year may have a series of its
//! own, and separate series are allowed "lorsque les conditions d'exercice de l'activité […] le
//! justifient". Nothing here does, so that invoices and credit notes, which are invoices before
//! the law (CGI article 289, I-5), take their numbers from the same series.
//!
//! Each number is one event in the stream `series-<year>`, and the number *is* the event's place
//! there: a hole or a duplicate would be a hole or a duplicate in a stream, which the event store
//! excludes. The event is appended all or nothing together with the document.

use std::convert::Infallible;

use billing_contract::InvoiceId;
use chrono::NaiveDate;
use kernel::decider::{Context, Decider};
use kernel::event::Revision;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A number of the series was taken by a document. Internal to this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberTaken {
    /// The number, such as `2026-000001`.
    pub number: String,
    /// The document that bears it.
    pub invoice_id: InvoiceId,
    /// That document's day of issue.
    pub issue_date: NaiveDate,
}

event_contract::published! {
    "billing.NumberTaken.v1": NumberTaken;
}

kernel::event_set! {
    /// What happens to a series.
    pub enum SeriesEvent {
        Taken(NumberTaken),
    }
}

/// How far a series has come. Its last event says it all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Series {
    /// No number was taken yet.
    #[default]
    Unused,
    /// The last document of the series was issued on this day.
    LastIssuedOn(NaiveDate),
}

/// A document wants the next number.
#[derive(Debug, Clone)]
pub struct TakeNumber {
    /// The year of the series.
    pub year: i32,
    /// The last revision of the series' stream, which is how many numbers were taken, less one.
    pub last_revision: Option<Revision>,
    /// The day it is where the firm has its seat.
    pub today: NaiveDate,
    /// The document.
    pub invoice_id: InvoiceId,
}

/// The number and the day that a new document bears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentNumber {
    /// Such as `2026-000001`.
    pub text: String,
    /// Day of issue.
    pub issue_date: NaiveDate,
}

/// Numbers documents.
#[derive(Debug, Clone, Copy)]
pub struct SeriesDecider;

impl Decider for SeriesDecider {
    const CATEGORY: &'static str = "series";
    type Id = Uuid;
    type State = Series;
    type Command = TakeNumber;
    type Event = SeriesEvent;
    /// A series gives a number to whoever asks.
    type Refusal = Infallible;

    fn decide(
        series: &Series,
        request: TakeNumber,
        _: &Context,
    ) -> Result<Vec<SeriesEvent>, Infallible> {
        Ok(vec![take(series, request).into()])
    }

    fn evolve(_: Series, event: &SeriesEvent) -> Series {
        let SeriesEvent::Taken(taken) = event;
        Series::LastIssuedOn(taken.issue_date)
    }
}

/// The next number. The day never goes back within a series, even when the clock does: the
/// sequence is chronological.
pub fn take(series: &Series, request: TakeNumber) -> NumberTaken {
    let TakeNumber { year, last_revision, today, invoice_id } = request;
    let ordinal = last_revision.map_or(1, |revision| revision + 2);
    let issue_date = match series {
        Series::Unused => today,
        Series::LastIssuedOn(last) => today.max(*last),
    };
    NumberTaken { number: format!("{year:04}-{ordinal:06}"), invoice_id, issue_date }
}

impl From<&NumberTaken> for DocumentNumber {
    fn from(taken: &NumberTaken) -> Self {
        Self { text: taken.number.clone(), issue_date: taken.issue_date }
    }
}

/// Whether a text could be taken for a number of ours: four digits, a dash, six digits or more.
pub fn is_like_ours(number: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    number.split_once('-').is_some_and(|(year, ordinal)| {
        year.len() == 4 && ordinal.len() >= 6 && digits(year) && digits(ordinal)
    })
}
