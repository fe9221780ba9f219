//! Every command that a decider of the four modules knows, and by whom the walk sees it carried out. A
//! new command without a row does not compile; a row that the walk does not see fails it.

use std::fmt::Write as _;

use billing::domain::Command as InvoiceCommand;
use customers::domain::Command as CustomerCommand;
use kernel::event::{RecordedEvent, family};
use orders::domain::Command as OrderCommand;
use payments::domain::Command as PaymentCommand;

use super::commands::PERSON;

/// By whom a command is given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given {
    /// By these, as the events say that they record with it.
    Seen(&'static [(&'static str, &'static str)]),
    /// By the import of a legacy system's changes, which is not walked.
    Import,
}

use Given::{Import, Seen};

/// The commands of one decider, every one of them: the match is exhaustive.
macro_rules! commands {
    ($module:literal, $decider:ident { $($command:ident => $given:expr,)* }) => {{
        let _ = |command: &$decider| match command { $($decider::$command { .. } => (),)* };
        vec![$(($module, stringify!($command), $given)),*]
    }};
}

/// Module, command, and by whom it is given.
pub(super) fn all() -> Vec<(&'static str, &'static str, Given)> {
    [customers(), orders(), billing(), payments()].concat()
}

fn customers() -> Vec<(&'static str, &'static str, Given)> {
    commands!("customers", CustomerCommand {
        Register => Seen(&[(PERSON, "customers.CustomerRegistered")]),
        ChangeContact => Seen(&[(PERSON, "customers.CustomerContactChanged")]),
        ChangeAddress => Seen(&[(PERSON, "customers.CustomerAddressChanged")]),
        Close => Seen(&[(PERSON, "customers.CustomerClosed")]),
        Erase => Seen(&[(PERSON, "customers.CustomerErased")]),
        Sync => Import,
    })
}

fn orders() -> Vec<(&'static str, &'static str, Given)> {
    const OUTCOME: &str = "orders.payment-outcome";
    commands!("orders", OrderCommand {
        Place => Seen(&[(PERSON, "orders.OrderPlaced")]),
        ConfirmPaid => Seen(&[(OUTCOME, "orders.OrderConfirmed")]),
        Confirm => Seen(&[(PERSON, "orders.OrderConfirmed")]),
        Fulfil => Seen(&[(PERSON, "orders.OrderFulfilled")]),
        Return => Seen(&[(PERSON, "orders.OrderReturned")]),
        Cancel => Seen(&[(PERSON, "orders.OrderCancelled"), (OUTCOME, "orders.OrderCancelled")]),
        Sync => Import,
    })
}

fn billing() -> Vec<(&'static str, &'static str, Given)> {
    const INVOICING: &str = "billing.invoicing";
    const SETTLEMENT: &str = "billing.settlement";
    commands!("billing", InvoiceCommand {
        Issue => Seen(&[(INVOICING, "billing.InvoiceIssued")]),
        Pay => Seen(&[(SETTLEMENT, "billing.InvoicePaid")]),
        Defer => Seen(&[(INVOICING, "billing.InvoiceDeferred")]),
        IssueAnew => Seen(&[(INVOICING, "billing.InvoiceIssued")]),
        FailCollection => Seen(&[(SETTLEMENT, "billing.CollectionFailed")]),
        Collect => Seen(&[(PERSON, "billing.CollectionRequested")]),
        Void => Seen(&[
            (PERSON, "billing.InvoiceVoided"),
            (INVOICING, "billing.InvoiceVoided"),
            (SETTLEMENT, "billing.InvoiceVoided"),
        ]),
        CreditReturn => Seen(&[(INVOICING, "billing.InvoiceCredited")]),
        CreditRefund => Seen(&[(SETTLEMENT, "billing.InvoiceCredited")]),
        Credit => Seen(&[(INVOICING, "billing.CreditNoteIssued")]),
        Refund => Seen(&[(SETTLEMENT, "billing.InvoiceRefunded")]),
        Settle => Seen(&[(SETTLEMENT, "billing.CreditNoteSettled")]),
        Sync => Import,
    })
}

fn payments() -> Vec<(&'static str, &'static str, Given)> {
    const COLLECTION: &str = "payments.collection";
    const PROVIDER: &str = "payments.provider-calls";
    commands!("payments", PaymentCommand {
        Request => Seen(&[(COLLECTION, "payments.PaymentRequested")]),
        Cancel => Seen(&[(PERSON, "payments.PaymentCancelled")]),
        Refund => Seen(&[(PERSON, "payments.RefundProposed")]),
        ProposeRefund => Seen(&[(PERSON, "payments.RefundProposed")]),
        GiveBack => Seen(&[(COLLECTION, "payments.RefundRequested")]),
        RefuseRefund => Seen(&[(COLLECTION, "payments.RefundRefused")]),
        RetryRefund => Seen(&[(PERSON, "payments.RefundRetried")]),
        CallOff => Seen(&[(COLLECTION, "payments.PaymentCancelled")]),
        Withdraw => Seen(&[(COLLECTION, "payments.PaymentCancelled")]),
        RecordCapture => Seen(&[(PROVIDER, "payments.PaymentCaptured")]),
        RecordDecline => Seen(&[(PROVIDER, "payments.PaymentDeclined")]),
        Expire => Seen(&[(PROVIDER, "payments.PaymentExpired")]),
        RecordRefund => Seen(&[(PROVIDER, "payments.PaymentRefunded")]),
        RecordRefundFailure => Seen(&[(PROVIDER, "payments.RefundFailed")]),
        Sync => Import,
    })
}

/// The commands that were not carried out by whom they are said to be.
pub(super) fn not_carried_out(log: &[impl AsRef<RecordedEvent>]) -> String {
    let mut missing = String::new();
    for (module, command, given) in all() {
        let Seen(expected) = given else { continue };
        for (actor, wanted) in expected {
            let is_there = log.iter().map(AsRef::as_ref).any(|event| {
                &*event.metadata.actor == *actor && family(&event.event_type) == Some(wanted)
            });
            if !is_there {
                writeln!(missing, "\n{module} {command}: no {wanted} by {actor}").unwrap();
            }
        }
    }
    missing
}
