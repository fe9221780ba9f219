//! What must be so when everything has come to rest.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::event::{Position, RecordedEvent};
use payments::provider::SandboxCharge;
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::course::Told;
use super::resting::{self, Rest};
use super::standing::{Standing, amount, id, text};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// The invariant.
    pub(super) rule: &'static str,
    /// What is so instead.
    pub(super) found: String,
}

impl Violation {
    fn new(rule: &'static str, found: impl Into<String>) -> Self {
        Self { rule, found: found.into() }
    }
}

/// The amounts of an order, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    invoiced: Decimal,
    credited: Decimal,
    /// What is still to be paid.
    open: Decimal,
    /// The money held, as the invoices say.
    paid: Decimal,
    captured: Decimal,
    refunded: Decimal,
}

impl Sums {
    /// Of one order.
    pub(super) fn of(standing: &Standing) -> Self {
        let mut sums = Self::default();
        for invoice in &standing.invoices {
            sums.invoiced += amount(&invoice["total"]);
            sums.paid += amount(&invoice["paid"]);
            sums.open += amount(&invoice["open"]);
        }
        for note in &standing.credit_notes {
            sums.credited -= amount(&note["total"]);
        }
        for payment in &standing.payments {
            if payment["provider_reference"].is_string() {
                sums.captured += amount(&payment["amount"]);
            }
        }
        for refund in &standing.refunds {
            if text(&refund["status"]) == "done" {
                sums.refunded += amount(&refund["amount"]);
            }
        }
        sums
    }

    pub(super) fn add(&mut self, other: &Self) {
        let Self { invoiced, credited, open, paid, captured, refunded } = *other;
        self.invoiced += invoiced;
        self.credited += credited;
        self.open += open;
        self.paid += paid;
        self.captured += captured;
        self.refunded += refunded;
    }

    /// What does not agree. What a refund that failed has to give back is still held, and owed.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut agree = |rule, left: Decimal, right: Decimal| {
            if left != right {
                violations.push(Violation::new(rule, format!("{left} is not {right}")));
            }
        };
        let Self { invoiced, credited, open, paid, captured, refunded } = *self;
        agree("invoiced - credited = paid + open", invoiced - credited, paid + open);
        agree("the invoices' paid = captured - refunded", paid, captured - refunded);
        violations
    }
}

/// The provider's books: what was taken and given back, by payment.
pub(super) struct Books(HashMap<Uuid, (Decimal, Decimal)>);

impl Books {
    pub(super) fn of(charges: Vec<SandboxCharge>) -> Self {
        let mut books: HashMap<Uuid, (Decimal, Decimal)> = HashMap::new();
        for charge in charges {
            // A charge that was cancelled before it arrived is nobody's.
            let Some(payment) = charge.payment_id else { continue };
            let (taken, given_back) = books.entry(payment.as_uuid()).or_default();
            if charge.captured {
                *taken += charge.amount.unwrap();
            }
            *given_back += charge.given_back;
        }
        Self(books)
    }

    /// Whether the payments of an order are in the books as they are here.
    fn violations(&self, standing: &Standing) -> Vec<Violation> {
        let mut theirs = (Decimal::ZERO, Decimal::ZERO);
        for payment in &standing.payments {
            let (taken, given_back) = self.0.get(&id(payment)).copied().unwrap_or_default();
            theirs = (theirs.0 + taken, theirs.1 + given_back);
        }
        let Sums { captured, refunded, .. } = Sums::of(standing);
        let mut violations = Vec::new();
        if (captured, refunded) != theirs {
            violations.push(Violation::new(
                "captured and refunded are as in the provider's books",
                format!("{captured} and {refunded} are not {} and {}", theirs.0, theirs.1),
            ));
        }
        violations
    }
}

/// What one story violates.
pub(super) fn of_story(told: &Told, books: &Books, log: &[Arc<RecordedEvent>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (_, standing) in &told.rested {
        violations.extend(Sums::of(standing).violations());
        violations.extend(of_states(standing));
    }
    // No deadline is left that something could wait for.
    if told.standing().is_being_paid() {
        violations.push(Violation::new(NOTHING_WAITS, told.standing().to_string()));
    }
    violations.extend(books.violations(told.standing()));
    violations.extend(of_people(told, log));
    violations
}

const NOTHING_WAITS: &str = "nothing waits for an event that nobody will send";

/// Whether each thing is in a state in which it may rest, and whether they fit together.
fn of_states(standing: &Standing) -> Vec<Violation> {
    let mut violations = Vec::new();
    let found = |what: &str| format!("{what}: {standing}");
    for (thing, state) in standing.states() {
        let rests = match resting::of(thing, &state) {
            Some(Rest::End | Rest::Person(_)) => true,
            Some(Rest::WhilePaying) => standing.is_being_paid(),
            None => false,
        };
        if !rests {
            violations.push(Violation::new(NOTHING_WAITS, found(&format!("{thing} {state}"))));
        }
    }
    let refund_failed = standing.refunds.iter().any(|refund| text(&refund["status"]) == "failed");
    for invoice in &standing.invoices {
        let open = amount(&invoice["open"]);
        if open < Decimal::ZERO && !refund_failed {
            violations.push(Violation::new("no money stays that is not owed", found("open")));
        }
    }
    let standing_invoices =
        standing.invoices.iter().filter(|invoice| !is_void_for_its_payment(invoice)).count();
    let are_taken_back = standing
        .invoices
        .iter()
        .all(|invoice| matches!(text(&invoice["status"]), "voided" | "credited"));
    match standing.order_status() {
        "cancelled" if !are_taken_back => violations
            .push(Violation::new("a cancelled order leaves no invoice standing", found("invoice"))),
        "confirmed" | "fulfilled" | "returned" if standing_invoices != 1 => {
            violations.push(Violation::new(
                "what is carried out has one invoice",
                found(&standing_invoices.to_string()),
            ))
        }
        _ => {}
    }
    violations
}

fn is_void_for_its_payment(invoice: &Value) -> bool {
    text(&invoice["voided_reason"]).starts_with("payment_")
}

/// Whether what people decided was changed by people only.
fn of_people(told: &Told, log: &[Arc<RecordedEvent>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let people = People::of(told, log);
    let first = |name: &str| log.iter().find(|event| of_type(event, name));
    if let Some(fulfilled) = first("orders.OrderFulfilled") {
        for event in log.iter().filter(|event| of_type(event, "billing.InvoiceVoided")) {
            let is_replaced = log.iter().any(|later| {
                later.position > event.position && of_type(later, "billing.InvoiceIssued")
            });
            let is_of_people = people.did(event, fulfilled.position);
            if event.position > fulfilled.position && !is_of_people && !is_replaced {
                violations.push(Violation::new(
                    "what is fulfilled is never voided without a person",
                    format!("by {}", &*event.metadata.actor),
                ));
            }
        }
    }
    let by_hand =
        log.iter().find(|event| of_type(event, "orders.OrderConfirmed") && people.did(event, 0));
    let cancelled = first("orders.OrderCancelled");
    if let Some((confirmed, cancelled)) = by_hand.zip(cancelled)
        && cancelled.position > confirmed.position
        && !people.did(cancelled, confirmed.position)
    {
        violations.push(Violation::new(
            "what a person confirmed is not cancelled without a person",
            format!("by {}", &*cancelled.metadata.actor),
        ));
    }
    violations
}

fn of_type(event: &RecordedEvent, family: &str) -> bool {
    kernel::event::family(&event.event_type) == Some(family)
}

/// When people began to do what they did.
struct People(HashMap<Uuid, Position>);

impl People {
    fn of(told: &Told, log: &[Arc<RecordedEvent>]) -> Self {
        let mut began = HashMap::new();
        for event in log {
            let correlation = event.metadata.correlation_id;
            if told.given.iter().any(|given| given.correlation_id == correlation) {
                began.entry(correlation).or_insert(event.position);
            }
        }
        Self(began)
    }

    /// Whether an event follows from what a person did after a position.
    fn did(&self, event: &RecordedEvent, after: Position) -> bool {
        self.0.get(&event.metadata.correlation_id).is_some_and(|began| *began > after)
    }
}

/// Holes and doubles in the numbers of documents, series by series.
pub(super) fn of_numbers<'a>(documents: impl Iterator<Item = &'a Value>) -> Vec<Violation> {
    let mut series: HashMap<&str, Vec<usize>> = HashMap::new();
    for document in documents {
        let (year, number) = text(&document["number"]).split_once('-').unwrap();
        series.entry(year).or_default().push(number.parse().unwrap());
    }
    let mut violations = Vec::new();
    for (year, mut numbers) in series {
        numbers.sort_unstable();
        if !numbers.iter().copied().eq(1..=numbers.len()) {
            violations.push(Violation::new("numbers have no hole", format!("{year}: {numbers:?}")));
        }
    }
    violations
}
