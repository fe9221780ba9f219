//! An invoice or a credit note as the API shows it.

mod folding;

use billing_contract::{DocumentKind, DocumentStatus, InvoiceId, InvoiceLine, VatTotal};
use chrono::{DateTime, NaiveDate, Utc};
use customers_contract::CustomerId;
use orders_contract::OrderId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
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
