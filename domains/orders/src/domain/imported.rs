//! Orders that the legacy system owns: the reported state is compared with the known state, and the
//! difference is recorded. The rules for new orders do not apply.

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

/// An order as the legacy system reports it.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyOrder>;

/// The state of an order in the legacy system. A field that is absent keeps its known value, a field
/// that is null is cleared.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LegacyOrder {
    /// Status of the order. A row that is not an order (yet, or any more) is reported as
    /// `{absent: "reason"}` instead.
    #[schemars(with = "ImportedOrderStatus", extend("x-required" = true), example = &"confirmed")]
    pub status: Patch<ImportedOrderStatus>,
    /// Order number in the legacy system.
    #[schemars(example = &"4711")]
    pub number: Patch<String>,
    /// The customer's own reference.
    #[schemars(extend("x-personal" = true), example = &"Votre lettre du 12")]
    pub reference: Patch<String>,
    /// Date of the order, in the local time of its place.
    #[schemars(example = &"2008-07-14")]
    pub date: Patch<NaiveDate>,
    /// Free text on the order.
    #[schemars(extend("x-personal" = true), example = &"Livrer le matin")]
    pub note: Patch<String>,
    /// Customer who placed the order: the `uid` of the customer's root row.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub customer_id: Patch<CustomerId>,
    /// ISO 4217 currency code, in capital letters.
    #[serde(deserialize_with = "kernel::sync::currency")]
    #[schemars(with = "String", regex(pattern = "^[A-Z]{3}$"), extend("x-required" = true), example = &"EUR")]
    pub currency: Patch<String>,
    /// Ordered lines.
    pub lines: Patch<Vec<LegacyLine>>,
    /// Texts of comment lines, which have no article.
    #[schemars(extend("x-personal" = true), example = ["Livraison en deux fois"])]
    pub comments: Patch<Vec<String>>,
    /// Total before tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"100.00")]
    pub total_net: Patch<Decimal>,
    /// Total VAT.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"19.60")]
    pub total_vat: Patch<Decimal>,
    /// Total including VAT.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"119.60")]
    pub total: Patch<Decimal>,
    /// Flags for irregularities of the order. They must not contain personal data.
    #[schemars(example = ["vat_code_unknown"])]
    pub flags: Patch<Vec<String>>,
}

/// Shows no content: notes and comments may contain personal data.
impl std::fmt::Debug for LegacyOrder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LegacyOrder").finish_non_exhaustive()
    }
}

/// A line of an order in the legacy system.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegacyLine {
    /// The line's key in the legacy system.
    #[serde(default)]
    #[schemars(example = &"4711/1")]
    pub legacy_id: Option<String>,
    /// The article's code; may be empty.
    #[schemars(example = &"CH-1")]
    pub sku: String,
    /// Description of the article.
    #[schemars(example = &"Chaise")]
    pub description: String,
    /// Ordered quantity.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"2")]
    pub quantity: Decimal,
    /// Unit of measure.
    #[serde(default)]
    #[schemars(example = &"U")]
    pub unit: Option<String>,
    /// Unit price before tax, in the order's currency.
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
    let LegacyReport { id, legacy, state: reported } = report;
    let order_id = OrderId::from(id);
    // An absent row that never was an order, such as a draft, results in no event.
    Ok(match compare(known, reported, merge, withdrawn)? {
        News::None => vec![],
        News::Imported(state) => vec![OrderImported { order_id, legacy, state }.into()],
        News::Revised { state, changed } => {
            vec![OrderRevised { order_id, legacy, state, changed }.into()]
        }
    })
}

/// Returns the cancelled state of an order that the legacy system has deleted or turned into a draft.
fn withdrawn(known: &ImportedOrder, reason: String) -> ImportedOrder {
    ImportedOrder {
        status: ImportedOrderStatus::Cancelled,
        cancelled_reason: Some(reason.into()),
        ..known.clone()
    }
}

/// Merges the reported state over the known state.
fn merge(known: Option<&ImportedOrder>, stated: LegacyOrder) -> Result<ImportedOrder, Refusal> {
    let known = known.cloned();
    let missing = |field| move || Refusal::IncompleteReport { field };
    // The reason for the withdrawal no longer applies once the legacy system states a status again.
    let cancelled_reason = match &stated.status {
        Patch::Keep => known.as_ref().and_then(|known| known.cancelled_reason.clone()),
        Patch::Clear | Patch::Set(_) => None,
    };
    let required_status = stated.status.over(known.as_ref().map(|known| known.status));
    let required_currency =
        stated.currency.over(known.as_ref().map(|known| known.currency.clone()));
    let known = known.unwrap_or_else(nothing_known);
    let lines = match stated.lines {
        Patch::Keep => known.lines,
        Patch::Clear => vec![],
        Patch::Set(lines) => lines.into_iter().map(Into::into).collect(),
    };
    Ok(ImportedOrder {
        status: required_status.ok_or_else(missing("status"))?,
        cancelled_reason,
        number: stated.number.over(known.number),
        reference: stated.reference.map(Personal::Known).over(known.reference),
        date: stated.date.over(known.date),
        note: stated.note.map(Personal::Known).over(known.note),
        customer_id: stated.customer_id.map(CustomerId::as_uuid).over(known.customer_id),
        currency: required_currency.ok_or_else(missing("currency"))?,
        lines,
        // An empty list of comments is the same as none.
        comments: stated
            .comments
            .map(Personal::Known)
            .over(known.comments)
            .filter(|comments| comments.known().is_none_or(|texts| !texts.is_empty())),
        total_net: stated.total_net.over(known.total_net),
        total_vat: stated.total_vat.over(known.total_vat),
        total: stated.total.over(known.total),
        flags: stated.flags.over(Some(known.flags)).unwrap_or_default(),
    })
}

/// Returns the state that a first report is merged over. Status and currency are not taken from it.
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
