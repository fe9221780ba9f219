//! Orders that the legacy system owns: its word is compared with what we know, and the difference
//! is recorded. No rule for new business applies.

use chrono::NaiveDate;
use customers_contract::CustomerId;
use event_contract::Personal;
use kernel::money::exact::exactly;
use kernel::sync::{News, Patch, compare};
use orders_contract::{
    ImportedOrder, ImportedOrderLine, ImportedOrderStatus, OrderId, OrderImported, OrderRevised,
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Event, Order, Refusal};

/// How an order stands in the legacy system.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyOrder>;

/// The state of an order in the legacy system. What is absent is left as it is here, what is null
/// is cleared.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LegacyOrder {
    /// Where it stands. What is no order yet, or no longer, is `{absent: "why"}` instead.
    #[schemars(with = "ImportedOrderStatus", extend("x-required" = true), example = &"confirmed")]
    pub status: Patch<ImportedOrderStatus>,
    /// The number people know it by.
    #[schemars(example = &"4711")]
    pub number: Patch<String>,
    /// The customer's own reference.
    #[schemars(extend("x-personal" = true), example = &"Votre lettre du 12")]
    pub reference: Patch<String>,
    /// The day on which it was made, where it was made.
    #[schemars(example = &"2008-07-14")]
    pub date: Patch<NaiveDate>,
    /// Free text on the order.
    #[schemars(extend("x-personal" = true), example = &"Livrer le matin")]
    pub note: Patch<String>,
    /// Who ordered: the `uid` of the customer's root row.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub customer_id: Patch<CustomerId>,
    /// ISO 4217 code, in capital letters.
    #[serde(deserialize_with = "kernel::sync::currency")]
    #[schemars(with = "String", regex(pattern = "^[A-Z]{3}$"), extend("x-required" = true), example = &"EUR")]
    pub currency: Patch<String>,
    /// What was ordered.
    pub lines: Patch<Vec<LegacyLine>>,
    /// Lines that only say something.
    #[schemars(extend("x-personal" = true), example = ["Livraison en deux fois"])]
    pub comments: Patch<Vec<String>>,
    /// Sum before tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"100.00")]
    pub total_net: Patch<Decimal>,
    /// Sum of the taxes.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"19.60")]
    pub total_vat: Patch<Decimal>,
    /// Sum with tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"119.60")]
    pub total: Patch<Decimal>,
    /// What is irregular about it, in short words that say nothing of a person.
    #[schemars(example = ["vat_code_unknown"])]
    pub flags: Patch<Vec<String>>,
}

/// Shows nothing of its content: notes and comments may speak of people.
impl std::fmt::Debug for LegacyOrder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LegacyOrder").finish_non_exhaustive()
    }
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegacyLine {
    /// The line's key.
    #[serde(default)]
    #[schemars(example = &"4711/1")]
    pub legacy_id: Option<String>,
    /// The article's code; may be empty.
    #[schemars(example = &"CH-1")]
    pub sku: String,
    /// What it is, for people.
    #[schemars(example = &"Chaise")]
    pub description: String,
    /// How many.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"2")]
    pub quantity: Decimal,
    /// Unit of measure.
    #[serde(default)]
    #[schemars(example = &"U")]
    pub unit: Option<String>,
    /// Price of one before tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"50.00")]
    pub unit_price: Decimal,
    /// VAT rates in percent.
    #[serde(default, deserialize_with = "exactly")]
    #[schemars(example = ["19.6"])]
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
    let known = match order {
        Order::NotPlaced => None,
        Order::OwnedByLegacy(imported) => Some(&imported.state),
        Order::AwaitingPayment(_)
        | Order::Confirmed(_)
        | Order::Fulfilled(_)
        | Order::Returned(_)
        | Order::Cancelled(_) => return Err(Refusal::OwnedByBascule),
    };
    let LegacyReport { id, legacy, state: word } = report;
    let order_id = OrderId::from(id);
    // Drafts and quotations never were orders: there is nothing to take back.
    Ok(match compare(known, word, merge, take_back)? {
        News::None => vec![],
        News::Imported(state) => vec![OrderImported { order_id, legacy, state }.into()],
        News::Revised { state, changed } => {
            vec![OrderRevised { order_id, legacy, state, changed }.into()]
        }
    })
}

/// What was an order and is none any more, deleted or back to a draft, is cancelled.
fn take_back(known: &ImportedOrder, reason: String) -> ImportedOrder {
    ImportedOrder {
        status: ImportedOrderStatus::Cancelled,
        cancelled_reason: Some(reason.into()),
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
        reference: said.reference.map(Personal::Known).over(known.reference),
        date: said.date.over(known.date),
        note: said.note.map(Personal::Known).over(known.note),
        customer_id: said.customer_id.map(CustomerId::as_uuid).over(known.customer_id),
        currency: required_currency.ok_or_else(missing("currency"))?,
        lines,
        // No comments and an empty list of them are the same fact.
        comments: said
            .comments
            .map(Personal::Known)
            .over(known.comments)
            .filter(|comments| comments.known().is_none_or(|texts| !texts.is_empty())),
        total_net: said.total_net.over(known.total_net),
        total_vat: said.total_vat.over(known.total_vat),
        total: said.total.over(known.total),
        flags: said.flags.over(Some(known.flags)).unwrap_or_default(),
    })
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
