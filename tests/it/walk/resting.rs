//! In which states orders, documents, payments and refunds may rest, and what leads out of those that
//! are not the end.

use super::commands::Command;
use super::standing::Standing;

/// Why something may rest in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing more has to happen.
    End,
    /// A person decides what comes next, by one of these commands.
    Person(&'static [Command]),
    /// Not for long: until the payment provider has decided, or its deadline passes.
    WhilePaying,
}

/// A state of a thing.
pub(super) struct Resting {
    pub(super) thing: &'static str,
    pub(super) state: &'static str,
    pub(super) rest: Rest,
}

const fn resting(thing: &'static str, state: &'static str, rest: Rest) -> Resting {
    Resting { thing, state, rest }
}

const COLLECT_OR_VOID: Rest = Rest::Person(&[Command::CollectInvoice, Command::VoidInvoice]);

/// Every state in which something may be found when everything has come to rest.
pub(super) const ALL: &[Resting] = &[
    resting("order", "awaiting_payment", Rest::WhilePaying),
    resting("order", "confirmed", Rest::Person(&[Command::FulfilOrder, Command::CancelOrder])),
    resting("order", "fulfilled", Rest::End),
    resting("order", "returned", Rest::End),
    resting("order", "cancelled", Rest::End),
    resting("invoice", "issued, payment under way", Rest::WhilePaying),
    resting("invoice", "issued, deferred, payment under way", Rest::WhilePaying),
    resting("invoice", "issued, deferred, payment failed", COLLECT_OR_VOID),
    resting("invoice", "paid", Rest::End),
    resting("invoice", "credited", Rest::End),
    resting("invoice", "voided", Rest::End),
    // Its refund failed.
    resting("credit note", "issued", Rest::Person(&[Command::RetryRefund])),
    resting("credit note", "settled", Rest::End),
    resting("payment", "pending", Rest::WhilePaying),
    resting("payment", "captured", Rest::End),
    resting("payment", "captured, partly refunded", Rest::End),
    resting("payment", "declined", Rest::End),
    resting("payment", "expired", Rest::End),
    resting("payment", "cancelled", Rest::End),
    resting("payment", "refunded", Rest::End),
    resting("refund", "done", Rest::End),
    resting("refund", "refused", Rest::End),
    resting("refund", "failed", Rest::Person(&[Command::RetryRefund])),
];

/// Why a thing may rest in a state; `None` when it may not.
pub(super) fn of(thing: &str, state: &str) -> Option<Rest> {
    ALL.iter().find(|one| one.thing == thing && one.state == state).map(|one| one.rest)
}

/// Where a state stands in the table; states that are not in it come last.
pub(super) fn place(thing: &str, state: &str) -> usize {
    let place = ALL.iter().position(|one| one.thing == thing && one.state == state);
    place.unwrap_or(ALL.len())
}

/// Whether something of an order is in a state.
pub(super) fn is_in(standing: &Standing, one: &Resting) -> bool {
    standing.states().any(|(thing, state)| thing == one.thing && state == one.state)
}
