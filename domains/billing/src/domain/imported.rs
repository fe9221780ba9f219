//! Documents that the legacy system owns: each report is compared with the recorded state, and the
//! difference is recorded. Numbers and totals are kept as reported; nothing is recomputed, and the
//! rules for new documents do not apply.
//!
//! Numbers of the legacy system belong to its name (`legacy.source`), those of this system to its
//! series, so neither can take a number of the other. An imported number with the form of this series
//! is marked by the flag [`NUMBER_LIKE_OURS`].

use billing_contract::{
    DocumentKind, DocumentStatus, ImportedInvoice, InvoiceId, InvoiceImported, InvoiceRevised,
    VatTotal,
};
use chrono::NaiveDate;
use kernel::money::exact::exactly;
use kernel::sync::{News, Patch, compare};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::{Event, Invoice, Refusal, series};

/// The flag of an imported document whose number has the form of this system's series. Only this module
/// sets and clears it.
pub const NUMBER_LIKE_OURS: &str = "number_like_ours";

/// A report of a document's state in the legacy system.
pub type LegacyReport = kernel::sync::LegacyReport<LegacyInvoice>;

/// The state of a document in the legacy system. Absent fields keep their recorded value, null clears
/// it. `status`, `kind`, `number`, `currency` and `total` must be known, from this report or an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LegacyInvoice {
    /// Status of the document. For a draft, send `{absent: "why"}` instead.
    #[schemars(with = "DocumentStatus", extend("x-required" = true), example = &"issued")]
    pub status: Patch<DocumentStatus>,
    /// Kind of the document.
    #[schemars(with = "DocumentKind", extend("x-required" = true), example = &"invoice")]
    pub kind: Patch<DocumentKind>,
    /// Number in the legacy system, at most 600 characters.
    #[serde(deserialize_with = "kernel::sync::indexed")]
    #[schemars(with = "String", extend("x-required" = true), example = &"F0001")]
    pub number: Patch<String>,
    /// Day of issue.
    #[schemars(example = &"2008-07-15")]
    pub date: Patch<NaiveDate>,
    /// ISO 4217 currency code, in capital letters.
    #[serde(deserialize_with = "kernel::sync::currency")]
    #[schemars(with = "String", regex(pattern = "^[A-Z]{3}$"), extend("x-required" = true), example = &"EUR")]
    pub currency: Patch<String>,
    /// Customer of the document: the `uid` of the customer's root row.
    #[schemars(example = &"539b2ed1-685c-5d38-a851-43ab9ec5df46")]
    pub customer_id: Patch<Uuid>,
    /// Orders that the document covers: the `uid`s of their root rows.
    #[schemars(example = ["8a6a9f2c-3d6d-5d1e-9a55-0d5c4f3d8b11"])]
    pub order_ids: Patch<Vec<Uuid>>,
    /// Invoices that a credit note reverses, by `uid`.
    #[schemars(example = [] as [&str; 0])]
    pub credits: Patch<Vec<Uuid>>,
    /// Credit notes that reverse an invoice, by `uid`.
    #[schemars(example = [] as [&str; 0])]
    pub credited_by: Patch<Vec<Uuid>>,
    /// Total before tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"100.00")]
    pub total_net: Patch<Decimal>,
    /// Total tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"19.60")]
    pub total_vat: Patch<Decimal>,
    /// Total including tax; negative on a credit note.
    #[serde(deserialize_with = "exactly")]
    #[schemars(with = "Decimal", extend("x-required" = true), example = &"119.60")]
    pub total: Patch<Decimal>,
    /// Tax per VAT rate.
    pub vat: Patch<Vec<LegacyVat>>,
    /// Amount paid and not refunded; zero if not stated, even if the status is `paid`: imported
    /// payments are not added up.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"119.60")]
    pub paid: Patch<Decimal>,
    /// Codes of irregularities, without personal data.
    #[schemars(example = ["foreign_currency"])]
    pub flags: Patch<Vec<String>>,
}

/// The tax at one VAT rate in the legacy system.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegacyVat {
    /// VAT rate in percent.
    #[serde(default, deserialize_with = "exactly")]
    #[schemars(example = &"19.6")]
    pub rate: Option<Decimal>,
    /// Amount that the tax is computed from.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"100.00")]
    pub base: Decimal,
    /// Amount of tax.
    #[serde(deserialize_with = "exactly")]
    #[schemars(example = &"19.60")]
    pub amount: Decimal,
}

impl From<LegacyVat> for VatTotal {
    fn from(tax: LegacyVat) -> Self {
        let LegacyVat { rate, base, amount } = tax;
        Self { rate, base, amount }
    }
}

pub(super) fn sync(invoice: &Invoice, report: LegacyReport) -> Result<Vec<Event>, Refusal> {
    let known = match invoice {
        Invoice::NotIssued => None,
        Invoice::OwnedByLegacy(imported) => Some(&imported.state),
        Invoice::Issued(_)
        | Invoice::Paid(_)
        | Invoice::Credited(_)
        | Invoice::Voided { .. }
        | Invoice::CreditNote(_) => return Err(Refusal::OwnedByBascule),
    };
    let LegacyReport { id, legacy, state: reported } = report;
    let invoice_id = InvoiceId::from(id);
    // Drafts and suppliers' invoices were never imported: their absence changes nothing.
    Ok(match compare(known, reported, merge, take_back)? {
        News::None => vec![],
        News::Imported(state) => vec![InvoiceImported { invoice_id, legacy, state }.into()],
        News::Revised { state, changed } => {
            vec![InvoiceRevised { invoice_id, legacy, state, changed }.into()]
        }
    })
}

/// Voids a document that was deleted in the legacy system or became a draft again.
fn take_back(known: &ImportedInvoice, reason: String) -> ImportedInvoice {
    ImportedInvoice {
        status: DocumentStatus::Voided,
        voided_reason: Some(reason.into()),
        ..known.clone()
    }
}

/// Merges a report into the recorded state.
fn merge(known: Option<&ImportedInvoice>, said: LegacyInvoice) -> Result<ImportedInvoice, Refusal> {
    // A document that was withdrawn needs a new status when it returns: the recorded one only shows
    // that it was absent.
    let status = known.filter(|known| known.voided_reason.is_none()).map(|known| known.status);
    let number = required("number", said.number, known.map(|known| known.number.clone()))?;
    let flags = listed(said.flags, known.map(|known| &known.flags));
    Ok(ImportedInvoice {
        status: required("status", said.status, status)?,
        voided_reason: None,
        kind: required("kind", said.kind, known.map(|known| known.kind))?,
        flags: with_ours(flags, &number),
        number,
        date: said.date.over(known.and_then(|known| known.date)),
        currency: required("currency", said.currency, known.map(|known| known.currency.clone()))?,
        customer_id: said.customer_id.over(known.and_then(|known| known.customer_id)),
        order_ids: listed(said.order_ids, known.map(|known| &known.order_ids)),
        credits: listed(said.credits, known.map(|known| &known.credits)),
        credited_by: listed(said.credited_by, known.map(|known| &known.credited_by)),
        total_net: said.total_net.over(known.and_then(|known| known.total_net)),
        total_vat: said.total_vat.over(known.and_then(|known| known.total_vat)),
        total: required("total", said.total, known.map(|known| known.total))?,
        vat: match said.vat {
            Patch::Keep => known.map(|known| known.vat.clone()).unwrap_or_default(),
            Patch::Clear => vec![],
            Patch::Set(taxes) => taxes.into_iter().map(Into::into).collect(),
        },
        paid: said.paid.over(known.map(|known| known.paid)).unwrap_or_default(),
    })
}

fn required<T>(field: &'static str, said: Patch<T>, known: Option<T>) -> Result<T, Refusal> {
    said.over(known).ok_or(Refusal::IncompleteReport { field })
}

fn listed<T: Clone>(said: Patch<Vec<T>>, known: Option<&Vec<T>>) -> Vec<T> {
    said.over(known.cloned()).unwrap_or_default()
}

fn with_ours(mut flags: Vec<String>, number: &str) -> Vec<String> {
    flags.retain(|flag| flag != NUMBER_LIKE_OURS);
    if series::is_like_ours(number) {
        flags.push(NUMBER_LIKE_OURS.to_owned());
    }
    flags
}
