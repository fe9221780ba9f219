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

/// The kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceKind)]
pub enum Kind {
    /// A claim for money.
    Invoice,
    /// The reversal of an invoice, in whole or in part; its quantities and amounts are negative.
    CreditNote,
}

impl Kind {
    /// Returns the name in the API and in the read model.
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

/// The status of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceStatus)]
pub enum Status {
    /// An invoice with an open amount, or a credit note whose money is not refunded yet.
    Issued,
    /// An invoice whose amount due is paid.
    Paid,
    /// An invoice that several partial credit notes reversed completely.
    Credited,
    /// An invoice voided by a credit note over its whole remaining amount.
    Voided,
    /// A credit note whose money was refunded, or that required no refund.
    Settled,
}

/// The state of the collection of an open invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceCollection)]
pub enum Collection {
    /// A payment is under way.
    UnderWay,
    /// The last payment failed: collect the invoice again, or void it.
    Failed,
}

impl Collection {
    /// Returns the name in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnderWay => "under_way",
            Self::Failed => "failed",
        }
    }
}

impl Status {
    /// Returns the name in the API and in the read model.
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
    /// Article code.
    #[schema(example = "CH-1")]
    pub sku: String,
    /// Description of the article.
    #[schema(example = "Chaise")]
    pub description: String,
    /// Quantity, with the decimals of the order; negative on a credit note.
    #[schema(value_type = String, example = "2")]
    pub quantity: Decimal,
    /// Unit price before tax, in the document's currency, with the decimals of the order.
    #[schema(value_type = String, example = "49.90")]
    pub unit_price: Decimal,
    /// VAT rate in percent.
    #[schema(value_type = String, example = "20")]
    pub vat_rate: Decimal,
    /// Quantity times unit price, rounded to the currency's minor unit.
    #[schema(value_type = String, example = "99.80")]
    pub net: Decimal,
}

impl From<&InvoiceLine> for LineView {
    fn from(line: &InvoiceLine) -> Self {
        let InvoiceLine { sku, description, quantity, unit_price, vat_rate, net } = line.clone();
        Self { sku, description, quantity, unit_price, vat_rate, net }
    }
}

/// The tax at one VAT rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceVat)]
pub struct VatView {
    /// VAT rate in percent. Absent if an imported document does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "20")]
    pub rate: Option<Decimal>,
    /// Amount that the tax is computed from.
    #[schema(value_type = String, example = "99.80")]
    pub base: Decimal,
    /// Amount of tax.
    #[schema(value_type = String, example = "19.96")]
    pub amount: Decimal,
}

impl From<&VatTotal> for VatView {
    fn from(tax: &VatTotal) -> Self {
        Self { rate: tax.rate, base: tax.base, amount: tax.amount }
    }
}

/// The addressee of a document at the time of issue.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceBillTo)]
pub struct BillToView {
    /// Name of the person or company.
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
    /// Id of the document.
    #[schema(value_type = Uuid)]
    pub id: InvoiceId,
    /// Number of the document: of the series of this system if `owner` is `bascule`, else of the legacy
    /// system.
    #[schema(example = "2026-000001")]
    pub number: String,
    /// Kind of the document.
    pub kind: Kind,
    /// Status of the document.
    pub status: Status,
    /// Reason of the voiding: `order_cancelled`, `payment_declined`, `payment_expired`,
    /// `payment_cancelled`, `written_off`, or the text of the import; absent if that text was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub voided_reason: Option<String>,
    /// Orders that the document covers.
    #[schema(value_type = Vec<Uuid>)]
    pub order_ids: Vec<OrderId>,
    /// Customer of the document. Absent if an imported document does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    pub customer_id: Option<CustomerId>,
    /// Name and address of the customer; absent on imported documents and after an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bill_to: Option<BillToView>,
    /// ISO 4217 currency code.
    #[schema(example = "EUR")]
    pub currency: String,
    /// Day of issue. Absent if an imported document does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub issue_date: Option<NaiveDate>,
    /// Lines of the document; empty on imported documents.
    pub lines: Vec<LineView>,
    /// Tax per VAT rate.
    pub vat: Vec<VatView>,
    /// Total before tax. Absent if an imported document does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "99.80")]
    pub total_net: Option<Decimal>,
    /// Total tax. Absent if an imported document does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "19.96")]
    pub total_vat: Option<Decimal>,
    /// Total including tax; negative on a credit note.
    #[schema(value_type = String, example = "119.76")]
    pub total: Decimal,
    /// Amount paid and not refunded. On an invoice issued here, `total` is the sum of `credited`,
    /// `paid` and `open`. Absent on a credit note issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "119.76")]
    pub paid: Option<Decimal>,
    /// Amount of the credit notes over an invoice issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub credited: Option<Decimal>,
    /// Refunded amount of an invoice or credit note issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub refunded: Option<Decimal>,
    /// Amount to be refunded for a credit note issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub to_refund: Option<Decimal>,
    /// Amount still to be paid on an invoice issued here; negative while a refund is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0.00")]
    pub open: Option<Decimal>,
    /// State of the collection of an open invoice issued here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub collection: Option<Collection>,
    /// Whether the invoice stays due even if its payment fails, because its order is carried out
    /// unpaid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// Invoices that this credit note reverses, in whole or in part.
    #[schema(value_type = Vec<Uuid>)]
    pub credits: Vec<InvoiceId>,
    /// Credit notes that reverse this invoice, in whole or in part.
    #[schema(value_type = Vec<Uuid>)]
    pub credited_by: Vec<InvoiceId>,
    /// Owning system.
    pub owner: Owner,
    /// Origin of an imported document. The flag `number_like_ours` marks a number of the legacy system
    /// that has the form of this system's series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy: Option<Legacy>,
    /// Time of issue. For an imported document: the start of its `issue_date` in UTC or, if the legacy
    /// system states none, the time of its first captured change.
    pub issued_at: DateTime<Utc>,
    /// Number of the document's last event, counted from 0. The `ETag` begins with it.
    pub revision: u64,
}

/// Hides the content, which contains personal data.
impl std::fmt::Debug for InvoiceView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("InvoiceView");
        fields.field("id", &self.id).field("number", &self.number).field("status", &self.status);
        fields.field("revision", &self.revision).finish_non_exhaustive()
    }
}
