//! Orders that the legacy system owns: its word is compared with what we know, and the difference
//! is recorded. No rule for new business applies.

use chrono::NaiveDate;
use event_contract::{LegacyReference, Personal};
use kernel::sync::{Patch, changed_fields};
use orders_contract::{
    ImportedOrder, ImportedOrderLine, ImportedOrderStatus, OrderId, OrderImported, OrderRevised,
};
use rust_decimal::Decimal;
use serde::Deserialize;
use uuid::Uuid;

use super::{Event, Order, Refusal};

/// How an order stands in the legacy system.
#[derive(Debug, Clone)]
pub struct LegacyReport {
    /// The order.
    pub order_id: OrderId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What is said of it there.
    pub word: LegacyWord,
}

/// What the legacy system says.
#[derive(Debug, Clone)]
pub enum LegacyWord {
    /// It is an order, and this is its state.
    Present(Box<LegacyOrder>),
    /// It is not, or no longer, an order.
    Absent {
        /// Why, for people.
        reason: String,
    },
}

/// The state of an order in the legacy system. What is absent is left as it is here, what is null
/// is cleared.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LegacyOrder {
    /// Where it stands.
    pub status: Patch<ImportedOrderStatus>,
    /// The number people know it by.
    pub number: Patch<String>,
    /// The customer's own reference.
    pub reference: Patch<String>,
    /// When it was made.
    pub date: Patch<NaiveDate>,
    /// Free text on the order.
    pub note: Patch<String>,
    /// Who ordered.
    pub customer_id: Patch<Uuid>,
    /// ISO 4217 code.
    pub currency: Patch<String>,
    /// What was ordered.
    pub lines: Patch<Vec<LegacyLine>>,
    /// Lines that only say something.
    pub comments: Patch<Vec<String>>,
    /// Sum before tax.
    pub total_net: Patch<Decimal>,
    /// Sum of the taxes.
    pub total_vat: Patch<Decimal>,
    /// Sum with tax.
    pub total: Patch<Decimal>,
    /// What is irregular about it, in short words.
    pub flags: Patch<Vec<String>>,
}

/// Shows nothing of its content: notes and comments may speak of people.
impl std::fmt::Debug for LegacyOrder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LegacyOrder").finish_non_exhaustive()
    }
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyLine {
    /// The line's key.
    #[serde(default)]
    pub legacy_id: Option<String>,
    /// The article's code; may be empty.
    pub sku: String,
    /// What it is, for people.
    pub description: String,
    /// How many.
    pub quantity: Decimal,
    /// Unit of measure.
    #[serde(default)]
    pub unit: Option<String>,
    /// Price of one before tax.
    pub unit_price: Decimal,
    /// VAT rates in percent.
    #[serde(default)]
    pub vat_rates: Vec<Decimal>,
}

impl From<LegacyLine> for ImportedOrderLine {
    fn from(line: LegacyLine) -> Self {
        let LegacyLine { legacy_id, sku, description, quantity, unit, unit_price, vat_rates } =
            line;
        Self { legacy_id, sku, description, quantity, unit, unit_price, vat_rates }
    }
}

pub(super) fn sync(order: &Order, report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    match order {
        Order::NotPlaced => import(report),
        Order::OwnedByLegacy(imported) => revise(&imported.state, report),
        Order::AwaitingPayment(_)
        | Order::Confirmed(_)
        | Order::Fulfilled(_)
        | Order::Cancelled(_) => Err(Refusal::OwnedByBascule),
    }
}

fn import(report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    let LegacyReport { order_id, legacy, word } = report;
    match word {
        LegacyWord::Present(said) => {
            let state = merge(None, *said)?;
            Ok(vec![OrderImported { order_id, legacy, state }.into()])
        }
        // Drafts and quotations never were orders.
        LegacyWord::Absent { .. } => Ok(vec![]),
    }
}

fn revise(known: &ImportedOrder, report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    let LegacyReport { order_id, legacy, word } = report;
    let state = match word {
        LegacyWord::Present(said) => merge(Some(known), *said)?,
        LegacyWord::Absent { reason } => take_back(known, reason),
    };
    // States without a JSON form do not exist; if they did, recording one too many is the safe side.
    let changed = changed_fields(known, &state).unwrap_or_else(|_| vec!["state".to_owned()]);
    if changed.is_empty() {
        return Ok(vec![]);
    }
    Ok(vec![OrderRevised { order_id, legacy, state, changed }.into()])
}

/// What was an order and is none any more, deleted or back to a draft, is cancelled.
fn take_back(known: &ImportedOrder, reason: String) -> ImportedOrder {
    ImportedOrder {
        status: ImportedOrderStatus::Cancelled,
        cancelled_reason: Some(reason),
        ..known.clone()
    }
}

/// What is said, over what is known.
fn merge(known: Option<&ImportedOrder>, said: LegacyOrder) -> Result<ImportedOrder, Refusal> {
    let known = known.cloned();
    let missing = |field| move || Refusal::IncompleteReport { field };
    // Why it was taken back no longer holds once the legacy system states a status again.
    let cancelled_reason = match &said.status {
        Patch::Keep => known.as_ref().and_then(|known| known.cancelled_reason.clone()),
        Patch::Clear | Patch::Set(_) => None,
    };
    let required_status = said.status.over(known.as_ref().map(|known| known.status));
    let required_currency = said.currency.over(known.as_ref().map(|known| known.currency.clone()));
    let known = known.unwrap_or_else(nothing_known);
    let lines = match said.lines {
        Patch::Keep => known.lines,
        Patch::Clear => vec![],
        Patch::Set(lines) => lines.into_iter().map(Into::into).collect(),
    };
    Ok(ImportedOrder {
        status: required_status.ok_or_else(missing("status"))?,
        cancelled_reason,
        number: said.number.over(known.number),
        reference: said.reference.over(known.reference),
        date: said.date.over(known.date),
        note: personal(said.note).over(known.note),
        customer_id: said.customer_id.over(known.customer_id),
        currency: required_currency.ok_or_else(missing("currency"))?,
        lines,
        // No comments and an empty list of them are the same fact.
        comments: personal(said.comments)
            .over(known.comments)
            .filter(|comments| comments.known().is_none_or(|texts| !texts.is_empty())),
        total_net: said.total_net.over(known.total_net),
        total_vat: said.total_vat.over(known.total_vat),
        total: said.total.over(known.total),
        flags: said.flags.over(Some(known.flags)).unwrap_or_default(),
    })
}

fn personal<T>(said: Patch<T>) -> Patch<Personal<T>> {
    match said {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(value) => Patch::Set(Personal::Known(value)),
    }
}

/// What a first report is merged over. Status and currency are not taken from here.
fn nothing_known() -> ImportedOrder {
    ImportedOrder {
        status: ImportedOrderStatus::Confirmed,
        cancelled_reason: None,
        number: None,
        reference: None,
        date: None,
        note: None,
        customer_id: None,
        currency: String::new(),
        lines: vec![],
        comments: None,
        total_net: None,
        total_vat: None,
        total: None,
        flags: vec![],
    }
}
