//! An invoice or a credit note as the API shows it.

use billing_contract::{
    BillTo, CreditNoteIssued, DocumentKind, DocumentStatus, ImportedInvoice, InvoiceId,
    InvoiceIssued, InvoiceLine, VatTotal, VoidReason,
};
use chrono::{DateTime, NaiveDate, Utc};
use customers_contract::CustomerId;
use event_contract::{LegacyReference, Personal};
use orders_contract::OrderId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web_api::listing::start_of;
use web_api::{Legacy, Owner};

/// Invoice or credit note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceKind)]
pub enum Kind {
    /// Asks for money.
    Invoice,
    /// Takes an invoice back; its quantities and sums are negative.
    CreditNote,
}

impl Kind {
    /// The name it has in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::CreditNote => "credit_note",
        }
    }
}

impl From<DocumentKind> for Kind {
    fn from(kind: DocumentKind) -> Self {
        match kind {
            DocumentKind::Invoice => Self::Invoice,
            DocumentKind::CreditNote => Self::CreditNote,
        }
    }
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceStatus)]
pub enum Status {
    /// Issued: an invoice with money open, a credit note whose money has not gone back yet.
    Issued,
    /// An invoice of which all that is due is paid.
    Paid,
    /// An invoice that credit notes over parts of it took back altogether.
    Credited,
    /// An invoice taken back by a credit note over everything that was left of it.
    Voided,
    /// A credit note whose money went back, or had not to.
    Settled,
}

/// How it is with the payment of an invoice that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceCollection)]
pub enum Collection {
    /// A payment is under way.
    UnderWay,
    /// The last payment came to nothing: collect it again, or void the invoice.
    Failed,
}

impl Collection {
    /// The name it has in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnderWay => "under_way",
            Self::Failed => "failed",
        }
    }
}

impl Status {
    /// The name it has in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Paid => "paid",
            Self::Credited => "credited",
            Self::Voided => "voided",
            Self::Settled => "settled",
        }
    }
}

impl From<DocumentStatus> for Status {
    fn from(status: DocumentStatus) -> Self {
        match status {
            DocumentStatus::Issued => Self::Issued,
            DocumentStatus::Paid => Self::Paid,
            DocumentStatus::Voided => Self::Voided,
        }
    }
}

/// One line of a document issued here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub struct LineView {
    /// The article's code.
    #[schema(example = "CH-1")]
    pub sku: String,
    /// What it is, for people.
    #[schema(example = "Chaise")]
    pub description: String,
    /// How many, with the decimals it was given with; negative on a credit note.
    #[schema(value_type = String, example = "2")]
    pub quantity: Decimal,
    /// Price of one before tax, with the decimals it was given with.
    #[schema(value_type = String, example = "49.90")]
    pub unit_price: Decimal,
    /// VAT rate in percent.
    #[schema(value_type = String, example = "20")]
    pub vat_rate: Decimal,
    /// Quantity times price, rounded to the currency's minor unit.
    #[schema(value_type = String, example = "99.80")]
    pub net: Decimal,
}

impl From<&InvoiceLine> for LineView {
    fn from(line: &InvoiceLine) -> Self {
        let InvoiceLine { sku, description, quantity, unit_price, vat_rate, net } = line.clone();
        Self { sku, description, quantity, unit_price, vat_rate, net }
    }
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceVat)]
pub struct VatView {
    /// Rate in percent. An imported document may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "20")]
    pub rate: Option<Decimal>,
    /// What it is computed on.
    #[schema(value_type = String, example = "99.80")]
    pub base: Decimal,
    /// The tax.
    #[schema(value_type = String, example = "19.96")]
    pub amount: Decimal,
}

impl From<&VatTotal> for VatView {
    fn from(tax: &VatTotal) -> Self {
        Self { rate: tax.rate, base: tax.base, amount: tax.amount }
    }
}

/// Whom a document is addressed to, as known when it was issued.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceBillTo)]
pub struct BillToView {
    /// Name of the person or firm.
    #[schema(example = "Ada Martin")]
    pub name: String,
    /// Lines of the postal address.
    #[schema(example = json!(["1 rue de la Paix", "75002 Paris", "FR"]))]
    pub address_lines: Vec<String>,
    /// VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub vat_number: Option<String>,
}

/// An invoice or a credit note.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceView {
    /// Identifies the document.
    #[schema(value_type = Uuid)]
    pub id: InvoiceId,
    /// Its number: of our series when `owner` is `bascule`, else of the legacy system's own.
    #[schema(example = "2026-000001")]
    pub number: String,
    /// Invoice or credit note.
    pub kind: Kind,
    /// Where it stands.
    pub status: Status,
    /// Why it was voided: `order_cancelled`, `payment_declined`, `payment_expired`,
    /// `payment_cancelled`, `written_off`, or in the words of the import; absent when those were erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub voided_reason: Option<String>,
    /// The orders it is for.
    #[schema(value_type = Vec<Uuid>)]
    pub order_ids: Vec<OrderId>,
    /// The customer who is to pay. An imported document may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    pub customer_id: Option<CustomerId>,
    /// Whom it is addressed to; absent on imported documents, and when it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bill_to: Option<BillToView>,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    pub currency: String,
    /// Day of issue. An imported document may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub issue_date: Option<NaiveDate>,
    /// What it is for; none on imported documents.
    pub lines: Vec<LineView>,
    /// The tax per rate.
    pub vat: Vec<VatView>,
    /// Sum before tax. An imported document may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "99.80")]
    pub total_net: Option<Decimal>,
    /// Sum of the taxes. An imported document may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "19.96")]
    pub total_vat: Option<Decimal>,
    /// Sum with tax; negative on a credit note.
    #[schema(value_type = String, example = "119.76")]
    pub total: Decimal,
    /// The money that came for it and has not gone back. Of an invoice issued here, `total` is
    /// `credited` and `paid` and `open` together. Absent on a credit note issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "119.76")]
    pub paid: Option<Decimal>,
    /// What credit notes took back of it, of an invoice issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub credited: Option<Decimal>,
    /// What went back of the money that came: of an invoice issued here, or for a credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub refunded: Option<Decimal>,
    /// What had to go back of the money that came, of a credit note issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub to_refund: Option<Decimal>,
    /// What is still to be paid, of an invoice issued here; below zero while money has to go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub open: Option<Decimal>,
    /// How it is with the payment, of an invoice issued here that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub collection: Option<Collection>,
    /// Whether it stays due though its payment fails: its order is carried out all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// The invoices that this credit note takes back, or takes back some of.
    #[schema(value_type = Vec<Uuid>)]
    pub credits: Vec<InvoiceId>,
    /// The credit notes that take this invoice back, or some of it.
    #[schema(value_type = Vec<Uuid>)]
    pub credited_by: Vec<InvoiceId>,
    /// Which system owns it.
    pub owner: Owner,
    /// Where an imported document comes from. The flag `number_like_ours`: its number has the form
    /// of our own series, but is the legacy system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy: Option<Legacy>,
    /// When it was issued. Of an imported document the start of its `issue_date` in UTC, or, where the
    /// legacy system does not say, when its first change was made that was captured.
    pub issued_at: DateTime<Utc>,
    /// Counts the events of this document from 0. The `ETag` begins with it.
    pub revision: u64,
}

/// Shows nothing of its content: it is addressed to a person.
impl std::fmt::Debug for InvoiceView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("InvoiceView");
        fields.field("id", &self.id).field("number", &self.number).field("status", &self.status);
        fields.field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl InvoiceView {
    /// An invoice just issued here.
    pub fn issued(invoice: &InvoiceIssued, issued_at: DateTime<Utc>, revision: u64) -> Self {
        Self {
            id: invoice.invoice_id,
            number: invoice.number.clone(),
            kind: Kind::Invoice,
            status: Status::Issued,
            voided_reason: None,
            order_ids: ids(&invoice.order_ids),
            customer_id: Some(invoice.customer_id.into()),
            bill_to: bill_to(invoice.bill_to.as_ref()),
            currency: invoice.currency.clone(),
            issue_date: Some(invoice.issue_date),
            lines: invoice.lines.iter().map(Into::into).collect(),
            vat: invoice.vat.iter().map(Into::into).collect(),
            total_net: Some(invoice.total_net),
            total_vat: Some(invoice.total_vat),
            total: invoice.total,
            paid: Some(nothing(invoice.total)),
            credited: Some(nothing(invoice.total)),
            refunded: Some(nothing(invoice.total)),
            to_refund: None,
            open: Some(invoice.total),
            collection: Some(Collection::UnderWay),
            deferred: false,
            credits: vec![],
            credited_by: vec![],
            owner: Owner::Bascule,
            legacy: None,
            issued_at,
            revision,
        }
    }

    /// A credit note just issued here.
    pub fn credit_note(note: &CreditNoteIssued, issued_at: DateTime<Utc>, revision: u64) -> Self {
        Self {
            id: note.invoice_id,
            number: note.number.clone(),
            kind: Kind::CreditNote,
            status: if note.to_refund.is_some() { Status::Issued } else { Status::Settled },
            voided_reason: None,
            order_ids: ids(&note.order_ids),
            customer_id: Some(note.customer_id.into()),
            bill_to: bill_to(note.bill_to.as_ref()),
            currency: note.currency.clone(),
            issue_date: Some(note.issue_date),
            lines: note.lines.iter().map(Into::into).collect(),
            vat: note.vat.iter().map(Into::into).collect(),
            total_net: Some(note.total_net),
            total_vat: Some(note.total_vat),
            total: note.total,
            paid: None,
            credited: None,
            refunded: Some(nothing(note.total)),
            to_refund: Some(note.to_refund.unwrap_or_else(|| nothing(note.total))),
            open: None,
            collection: None,
            deferred: false,
            credits: vec![note.credits],
            credited_by: vec![],
            owner: Owner::Bascule,
            legacy: None,
            issued_at,
            revision,
        }
    }

    /// A document as a legacy system has it.
    pub fn of_legacy(
        id: InvoiceId,
        legacy: &LegacyReference,
        state: &ImportedInvoice,
        issued_at: DateTime<Utc>,
        revision: u64,
    ) -> Self {
        Self {
            id,
            number: state.number.clone(),
            kind: state.kind.into(),
            status: state.status.into(),
            voided_reason: state.voided_reason.as_ref().and_then(Personal::known).cloned(),
            order_ids: ids(&state.order_ids),
            customer_id: state.customer_id.map(CustomerId::from),
            bill_to: None,
            currency: state.currency.clone(),
            issue_date: state.date,
            lines: vec![],
            vat: state.vat.iter().map(Into::into).collect(),
            total_net: state.total_net,
            total_vat: state.total_vat,
            total: state.total,
            paid: Some(state.paid),
            credited: None,
            refunded: None,
            to_refund: None,
            open: None,
            collection: None,
            deferred: false,
            credits: ids(&state.credits),
            credited_by: ids(&state.credited_by),
            owner: Owner::Legacy,
            legacy: Some(Legacy::new(legacy, &state.flags)),
            issued_at: state.date.map_or(issued_at, start_of),
            revision,
        }
    }

    /// The day it counts for: that of its issue, or when it was first seen.
    pub fn day(&self) -> NaiveDate {
        self.issue_date.unwrap_or_else(|| self.issued_at.date_naive())
    }

    /// The same, without whom it is addressed to and what people said in it.
    pub fn silenced(self) -> Self {
        let voided_reason = self.voided_reason.filter(|_| self.owner == Owner::Bascule);
        Self { bill_to: None, voided_reason, ..self }
    }

    /// The same, with money that came.
    #[must_use]
    pub fn paid(self, amount: Decimal) -> Self {
        let paid = Some(self.paid.unwrap_or_default() + amount);
        Self { paid, collection: None, ..self }.balanced()
    }

    /// The same, after money went back.
    #[must_use]
    pub fn refunded(self, amount: Decimal) -> Self {
        let paid = Some(self.paid.unwrap_or_default() - amount);
        let refunded = Some(self.refunded.unwrap_or_default() + amount);
        Self { paid, refunded, ..self }.balanced()
    }

    /// The same, some of it taken back by a credit note.
    #[must_use]
    pub fn credited(self, amount: Decimal, credit_note: InvoiceId) -> Self {
        let credited = Some(self.credited.unwrap_or_default() + amount);
        let credited_by = [self.credited_by, vec![credit_note]].concat();
        Self { credited, credited_by, ..self }.balanced()
    }

    /// The same, everything that was left of it taken back by a credit note.
    #[must_use]
    pub fn voided(self, reason: VoidReason, credit_note: InvoiceId) -> Self {
        let reason = match reason {
            VoidReason::OrderCancelled => "order_cancelled",
            VoidReason::PaymentDeclined => "payment_declined",
            VoidReason::PaymentExpired => "payment_expired",
            VoidReason::PaymentCancelled => "payment_cancelled",
            VoidReason::WrittenOff => "written_off",
        };
        let rest = self.total - self.credited.unwrap_or_default();
        let voided = self.credited(rest, credit_note);
        Self {
            status: Status::Voided,
            voided_reason: Some(reason.to_owned()),
            collection: None,
            ..voided
        }
    }

    /// The same, due whatever becomes of its payment.
    #[must_use]
    pub fn deferred(self) -> Self {
        Self { deferred: true, ..self }
    }

    /// The same, with a payment under way or failed.
    #[must_use]
    pub fn collecting(self, collection: Collection) -> Self {
        Self { collection: Some(collection), ..self }.balanced()
    }

    /// The same credit note, its money gone back.
    #[must_use]
    pub fn settled(self) -> Self {
        let refunded = Some(self.to_refund.unwrap_or_default());
        Self { status: Status::Settled, refunded, ..self }
    }

    /// What is open, and where an invoice issued here stands by it.
    fn balanced(self) -> Self {
        let due = self.total - self.credited.unwrap_or_default();
        let open = due - self.paid.unwrap_or_default();
        let status = match self.status {
            Status::Voided => Status::Voided,
            _ if due.is_zero() => Status::Credited,
            _ if open > Decimal::ZERO => Status::Issued,
            _ => Status::Paid,
        };
        let collection = self.collection.filter(|_| status == Status::Issued);
        Self { open: Some(open), status, collection, ..self }
    }
}

fn ids<I: From<Uuid>>(uuids: &[Uuid]) -> Vec<I> {
    uuids.iter().copied().map(I::from).collect()
}

fn bill_to(bill_to: Option<&Personal<BillTo>>) -> Option<BillToView> {
    let BillTo { name, address_lines, vat_number } = bill_to?.known()?.clone();
    Some(BillToView { name, address_lines, vat_number })
}

/// Zero, with the decimals of the sum it stands beside.
fn nothing(total: Decimal) -> Decimal {
    Decimal::new(0, total.scale())
}
