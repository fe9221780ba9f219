//! The changes that events make to the view of a document.

use billing_contract::{
    BillTo, CreditNoteIssued, ImportedInvoice, InvoiceId, InvoiceIssued, VoidReason,
};
use chrono::{DateTime, NaiveDate, Utc};
use customers_contract::CustomerId;
use event_contract::{LegacyReference, Personal};
use rust_decimal::Decimal;
use uuid::Uuid;
use web_api::listing::start_of;
use web_api::{Legacy, Owner};

use super::{BillToView, Collection, InvoiceView, Kind, Status};

impl InvoiceView {
    /// Returns the view of an invoice issued here.
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

    /// Returns the view of a credit note issued here.
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

    /// Returns the view of a document of a legacy system.
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

    /// Returns the day for the retention period: the day of issue, or else of the first event.
    pub fn day(&self) -> NaiveDate {
        self.issue_date.unwrap_or_else(|| self.issued_at.date_naive())
    }

    /// Returns the view without the addressee and without free text.
    pub fn without_personal_data(self) -> Self {
        let voided_reason = self.voided_reason.filter(|_| self.owner == Owner::Bascule);
        Self { bill_to: None, voided_reason, ..self }
    }

    /// Returns the view after a payment.
    #[must_use]
    pub fn paid(self, amount: Decimal) -> Self {
        let paid = Some(self.paid.unwrap_or_default() + amount);
        Self { paid, collection: None, ..self }.balanced()
    }

    /// Returns the view after a refund.
    #[must_use]
    pub fn refunded(self, amount: Decimal) -> Self {
        let paid = Some(self.paid.unwrap_or_default() - amount);
        let refunded = Some(self.refunded.unwrap_or_default() + amount);
        Self { paid, refunded, ..self }.balanced()
    }

    /// Returns the view after a credit note over part of the invoice.
    #[must_use]
    pub fn credited(self, amount: Decimal, credit_note: InvoiceId) -> Self {
        let credited = Some(self.credited.unwrap_or_default() + amount);
        let credited_by = [self.credited_by, vec![credit_note]].concat();
        Self { credited, credited_by, ..self }.balanced()
    }

    /// Returns the view after a credit note over the whole remaining amount.
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

    /// Returns the view of an invoice that stays due even if its payment fails.
    #[must_use]
    pub fn deferred(self) -> Self {
        Self { deferred: true, ..self }
    }

    /// Returns the view with this state of the collection.
    #[must_use]
    pub fn collecting(self, collection: Collection) -> Self {
        Self { collection: Some(collection), ..self }.balanced()
    }

    /// Returns the view of a credit note whose money was refunded.
    #[must_use]
    pub fn settled(self) -> Self {
        let refunded = Some(self.to_refund.unwrap_or_default());
        Self { status: Status::Settled, refunded, ..self }
    }

    /// Returns the view with the open amount, and the status that follows from it.
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

/// Returns zero with the decimals of the total.
fn nothing(total: Decimal) -> Decimal {
    Decimal::new(0, total.scale())
}
