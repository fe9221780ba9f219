//! Decisions on an order: given its events, when a command is given, then these events follow.

mod imported;
mod placing;
mod returning;

use customers_contract::CustomerId;
use event_contract::LegacyReference;
use kernel::decider::Decider as _;
use kernel::money::Currency;
use kernel::sync::{LegacyState, Patch};
use orders_contract::{
    CancellationReason, ImportedOrder, ImportedOrderStatus, OrderCancelled, OrderConfirmed,
    OrderFulfilled, OrderId, OrderLine, OrderPlaced, PaymentDeferred,
};
use serde_json::json;
use testkit::given;

use super::{
    Command, Event, LegacyLine, LegacyOrder, LegacyReport, OrderDecider, PlaceOrder, Refusal,
};

const ORDER: OrderId = OrderId::from_u128(1);
const CUSTOMER: CustomerId = CustomerId::from_u128(2);

fn line(quantity: &str, unit_price: &str, vat_rate: &str) -> OrderLine {
    OrderLine {
        sku: "CH-1".to_owned(),
        description: "Chaise".to_owned(),
        quantity: quantity.parse().unwrap(),
        unit_price: unit_price.parse().unwrap(),
        vat_rate: vat_rate.parse().unwrap(),
    }
}

fn place(lines: Vec<OrderLine>) -> Command {
    Command::Place(PlaceOrder {
        order_id: ORDER,
        customer_id: CUSTOMER,
        currency: Currency::from_code("EUR").unwrap(),
        payment_method: "sandbox:ok".to_owned(),
        lines,
    })
}

fn placed() -> Event {
    OrderPlaced {
        order_id: ORDER,
        customer_id: CUSTOMER.into(),
        currency: "EUR".to_owned(),
        payment_method: "sandbox:ok".to_owned(),
        lines: vec![line("2", "49.90", "20")],
        total_net: "99.80".parse().unwrap(),
        total_vat: "19.96".parse().unwrap(),
        total: "119.76".parse().unwrap(),
    }
    .into()
}

fn confirmed() -> Event {
    OrderConfirmed { order_id: ORDER }.into()
}

fn fulfilled() -> Event {
    OrderFulfilled { order_id: ORDER }.into()
}

fn cancelled(reason: CancellationReason) -> Event {
    OrderCancelled { order_id: ORDER, customer_id: CUSTOMER.into(), reason }.into()
}

fn on_request() -> CancellationReason {
    CancellationReason::Requested { reason: "changed my mind".to_owned().into() }
}

fn report(state: LegacyState<LegacyOrder>) -> Command {
    let legacy = LegacyReference { source: "tryton".to_owned(), id: "sale_sale/7".to_owned() };
    Command::Sync(Box::new(LegacyReport { id: ORDER.into(), legacy, state }))
}

fn present(stated: LegacyOrder) -> Command {
    report(LegacyState::Present(stated))
}

fn absent(reason: &str) -> Command {
    report(LegacyState::Absent { reason: reason.to_owned() })
}

fn legacy_order() -> LegacyOrder {
    LegacyOrder {
        status: Patch::Set(ImportedOrderStatus::Confirmed),
        number: Patch::Set("CMD00002".to_owned()),
        note: Patch::Set("ring twice".to_owned()),
        customer_id: Patch::Set(CUSTOMER),
        currency: Patch::Set("CHF".to_owned()),
        lines: Patch::Set(vec![LegacyLine {
            legacy_id: Some("1".to_owned()),
            sku: String::new(),
            description: "?".to_owned(),
            quantity: "-1.5".parse().unwrap(),
            unit: Some("Unit".to_owned()),
            unit_price: "18.0000".parse().unwrap(),
            vat_rates: vec![],
        }]),
        total: Patch::Set("-27.01".parse().unwrap()),
        ..LegacyOrder::default()
    }
}

fn imported() -> Event {
    given::<OrderDecider>([]).when(present(legacy_order())).event()
}

#[track_caller]
fn revision(events: &[Event], command: Command) -> (ImportedOrder, Vec<String>) {
    match given::<OrderDecider>(events.iter().cloned()).when(command).event() {
        Event::Revised(mut revised) => {
            revised.changed.sort();
            (revised.state, revised.changed)
        }
        other => panic!("expected a revision, got {other:?}"),
    }
}

#[test]
fn a_placed_order_is_confirmed_once() {
    let deferred = PaymentDeferred { order_id: ORDER }.into();
    given::<OrderDecider>([placed()]).when(Command::ConfirmPaid).then([confirmed()]);
    given::<OrderDecider>([placed()]).when(Command::Confirm).then([confirmed(), deferred]);
    for command in [Command::Confirm, Command::ConfirmPaid] {
        given::<OrderDecider>([placed(), confirmed()]).when(command.clone()).changes_nothing();
        given::<OrderDecider>([placed(), confirmed(), fulfilled()]).when(command).changes_nothing();
    }
}

#[test]
fn only_a_confirmed_order_is_fulfilled() {
    given::<OrderDecider>([placed()]).when(Command::Fulfil).refuses(&Refusal::NotConfirmed);
    given::<OrderDecider>([placed(), confirmed()]).when(Command::Fulfil).then([fulfilled()]);
    given::<OrderDecider>([placed(), confirmed(), fulfilled()])
        .when(Command::Fulfil)
        .changes_nothing();
}

#[test]
fn an_order_is_cancelled_before_it_is_fulfilled() {
    let cancel = || Command::Cancel(on_request());
    given::<OrderDecider>([placed()]).when(cancel()).then([cancelled(on_request())]);
    given::<OrderDecider>([placed(), confirmed()]).when(cancel()).then([cancelled(on_request())]);
    given::<OrderDecider>([placed(), confirmed(), fulfilled()])
        .when(cancel())
        .refuses(&Refusal::AlreadyFulfilled);
}

#[test]
fn a_failed_payment_cancels_only_an_order_that_waits_for_it() {
    for reason in [
        CancellationReason::PaymentDeclined,
        CancellationReason::PaymentExpired,
        CancellationReason::PaymentCancelled,
    ] {
        let cancel = || Command::Cancel(reason.clone());
        given::<OrderDecider>([placed()]).when(cancel()).then([cancelled(reason.clone())]);
        given::<OrderDecider>([placed(), confirmed()])
            .when(cancel())
            .refuses(&Refusal::AlreadyConfirmed);
        given::<OrderDecider>([placed(), confirmed(), fulfilled()])
            .when(cancel())
            .refuses(&Refusal::AlreadyFulfilled);
    }
}

#[test]
fn the_first_reason_for_a_cancellation_stands() {
    given::<OrderDecider>([placed(), cancelled(CancellationReason::PaymentDeclined)])
        .when(Command::Cancel(on_request()))
        .changes_nothing();
}

#[test]
fn a_cancelled_order_stays_cancelled() {
    let history = [placed(), cancelled(on_request())];
    given::<OrderDecider>(history.clone())
        .when(Command::Confirm)
        .refuses(&Refusal::AlreadyCancelled);
    given::<OrderDecider>(history.clone())
        .when(Command::Fulfil)
        .refuses(&Refusal::AlreadyCancelled);
}

#[test]
fn there_is_nothing_to_do_with_an_order_that_was_never_placed() {
    for command in [Command::Confirm, Command::Fulfil, Command::Cancel(on_request())] {
        given::<OrderDecider>([]).when(command).refuses(&Refusal::NoSuchOrder);
    }
}

/// Other releases read the snapshots, too. A change of their form needs a new version of the schema: raise
/// it in [`OrderDecider::snapshots`].
#[test]
fn snapshots_keep_their_form_within_a_version() {
    let rule = OrderDecider::snapshots().unwrap();
    assert_eq!(rule.version, 2);
    let placed = json!({
        "order_id": "00000000-0000-0000-0000-000000000001",
        "customer_id": "00000000-0000-0000-0000-000000000002",
        "delivered": { "lines": ["2"], "returns": 0 },
    });
    let imported = json!({
        "legacy": { "source": "tryton", "id": "17" },
        "state": {
            "status": "cancelled",
            "cancelled_reason": { "$personal": "trop cher" },
            "number": "2019-17",
            "reference": { "$personal": "Mme Martin" },
            "date": "2019-05-03",
            "note": { "$personal": "sonner deux fois" },
            "customer_id": "00000000-0000-0000-0000-000000000002",
            "currency": "EUR",
            "lines": [{
                "legacy_id": "41",
                "sku": "CH-1",
                "description": "Chaise",
                "quantity": "2",
                "unit": "u",
                "unit_price": "49.90",
                "vat_rates": ["20"],
            }],
            "comments": { "$erased": true },
            "total_net": "99.80",
            "total_vat": "19.96",
            "total": "119.76",
            "flags": ["odd"],
        },
    });
    for state in [
        json!("NotPlaced"),
        json!({ "AwaitingPayment": placed }),
        json!({ "Confirmed": placed }),
        json!({ "Fulfilled": placed }),
        json!({ "Returned": placed }),
        json!({ "Cancelled": placed }),
        json!({ "OwnedByLegacy": imported }),
    ] {
        let order = (rule.from_json)(state.clone()).unwrap();
        assert_eq!((rule.to_json)(&order).unwrap(), state);
    }
}
