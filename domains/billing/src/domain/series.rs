//! The numbers of documents issued here: one chronological series per year, without gaps.
//!
//! The rule is French tax law, CGI annexe II article 242 nonies A, I-7°: every invoice bears "un numéro
//! unique basé sur une séquence chronologique et continue". A year may have a series of its own, and
//! separate series are allowed "lorsque les conditions d'exercice de l'activité […] le justifient". No
//! such condition applies here, so invoices and credit notes, which are invoices by law (CGI article
//! 289, I-5), share one series.
//!
//! Each number is one event in the stream `series-<year>`, and the number *is* the position of the
//! event in the stream: a gap or a duplicate would be one in the stream, which the event store
//! excludes. The event is appended atomically with those of the document.

use std::convert::Infallible;

use billing_contract::InvoiceId;
use chrono::NaiveDate;
use kernel::decider::{Context, Decider};
use kernel::event::Revision;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A document took a number of the series. Internal to this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberTaken {
    /// Number, such as `2026-000001`.
    pub number: String,
    /// Document that bears the number.
    pub invoice_id: InvoiceId,
    /// Day of issue of the document.
    pub issue_date: NaiveDate,
}

event_contract::published! {
    "billing.NumberTaken.v1": NumberTaken;
}

kernel::event_set! {
    /// The events of a series.
    pub enum SeriesEvent {
        Taken(NumberTaken),
    }
}

/// The state of a series, which its last event determines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Series {
    /// No number was taken.
    #[default]
    Unused,
    /// The day of issue of the last document.
    LastIssuedOn(NaiveDate),
}

/// A request for the next number.
#[derive(Debug, Clone)]
pub struct TakeNumber {
    /// Year of the series.
    pub year: i32,
    /// Last revision of the series' stream: the count of taken numbers minus one.
    pub last_revision: Option<Revision>,
    /// Current day at the company's seat.
    pub today: NaiveDate,
    /// Document that takes the number.
    pub invoice_id: InvoiceId,
}

/// The number and day of issue of a new document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentNumber {
    /// Number, such as `2026-000001`.
    pub text: String,
    /// Day of issue.
    pub issue_date: NaiveDate,
}

/// Numbers documents: stream `series-<year>`.
#[derive(Debug, Clone, Copy)]
pub struct SeriesDecider;

impl Decider for SeriesDecider {
    const CATEGORY: &'static str = "series";
    type Id = Uuid;
    type State = Series;
    type Command = TakeNumber;
    type Event = SeriesEvent;
    /// A series refuses no request.
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

/// Returns the next number. The day of issue never goes back within a series, even if the clock does:
/// the sequence is chronological.
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

/// Returns whether a text has the form of a number of this series: four digits, a hyphen, at least six
/// digits.
pub fn is_like_ours(number: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    number.split_once('-').is_some_and(|(year, ordinal)| {
        year.len() == 4 && ordinal.len() >= 6 && digits(year) && digits(ordinal)
    })
}
