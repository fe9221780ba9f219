//! The invoice of an order. Its totals are computed from the lines and must agree with those of the
//! order: the customer pays what was ordered.

use billing_contract::{BillTo, InvoiceDeferred, InvoiceId, InvoiceIssued, InvoiceLine, VatTotal};
use event_contract::Personal;
use kernel::money::{self, Currency, PricedLine};
use orders_contract::{OrderLine, OrderPlaced};

use super::{DocumentNumber, Event, Invoice, Refusal};

/// An invoice to be issued.
#[derive(Debug, Clone)]
pub struct IssueInvoice {
    /// New invoice.
    pub invoice_id: InvoiceId,
    /// Number and day of issue.
    pub number: DocumentNumber,
    /// Order to be invoiced.
    pub order: OrderPlaced,
    /// Name and address of the customer, if known.
    pub bill_to: Option<Personal<BillTo>>,
}

pub(super) fn issue(invoice: &Invoice, request: IssueInvoice) -> Result<Vec<Event>, Refusal> {
    match invoice {
        Invoice::NotIssued => {}
        Invoice::Issued(_)
        | Invoice::Paid(_)
        | Invoice::Credited(_)
        | Invoice::Voided { .. }
        | Invoice::CreditNote(_) => return Err(Refusal::AlreadyIssued),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    }
    let IssueInvoice { invoice_id, number, order, bill_to } = request;
    let currency = Currency::from_code(&order.currency).ok_or(Refusal::UnknownCurrency)?;
    let priced: Vec<_> = order.lines.iter().map(priced).collect();
    let totals = money::totals(&priced, currency).map_err(|_| Refusal::TotalTooLarge)?;
    let pairs = [
        (totals.net, order.total_net),
        (totals.vat_sum, order.total_vat),
        (totals.total, order.total),
    ];
    if let Some((computed, stated)) =
        pairs.into_iter().find(|(computed, stated)| computed != stated)
    {
        return Err(Refusal::TotalsDisagree { computed, stated });
    }
    let lines = order.lines.into_iter().zip(totals.line_nets);
    let vat = totals.vat.into_iter();
    Ok(vec![
        InvoiceIssued {
            invoice_id,
            number: number.text,
            issue_date: number.issue_date,
            order_ids: vec![order.order_id.as_uuid()],
            customer_id: order.customer_id,
            bill_to,
            currency: order.currency,
            payment_method: order.payment_method,
            lines: lines.map(|(line, net)| invoiced(line, net)).collect(),
            total_net: totals.net,
            vat: vat
                .map(|tax| VatTotal { rate: Some(tax.rate), base: tax.base, amount: tax.amount })
                .collect(),
            total_vat: totals.vat_sum,
            total: totals.total,
        }
        .into(),
    ])
}

/// A replacement for a voided invoice.
#[derive(Debug, Clone)]
pub struct IssueAnew {
    /// New invoice.
    pub invoice_id: InvoiceId,
    /// Number and day of issue.
    pub number: DocumentNumber,
    /// Voided invoice.
    pub voided: InvoiceIssued,
}

/// Issues the same invoice under another number; it stays due even if its payment fails.
pub(super) fn issue_anew(invoice: &Invoice, request: IssueAnew) -> Result<Vec<Event>, Refusal> {
    match invoice {
        Invoice::NotIssued => {}
        // The replacement was issued before.
        _ => return Ok(vec![]),
    }
    let IssueAnew { invoice_id, number, voided } = request;
    let order_ids = voided.order_ids.clone();
    let issued =
        InvoiceIssued { invoice_id, number: number.text, issue_date: number.issue_date, ..voided };
    Ok(vec![issued.into(), InvoiceDeferred { invoice_id, order_ids }.into()])
}

fn priced(line: &OrderLine) -> PricedLine {
    PricedLine { quantity: line.quantity, unit_price: line.unit_price, vat_rate: line.vat_rate }
}

fn invoiced(line: OrderLine, net: rust_decimal::Decimal) -> InvoiceLine {
    let OrderLine { sku, description, quantity, unit_price, vat_rate } = line;
    InvoiceLine { sku, description, quantity, unit_price, vat_rate, net }
}
