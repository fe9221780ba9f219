//! What orders decide, as given – when – then.

use customers_contract::CustomerId;
use event_contract::{LegacyReference, Personal};
use kernel::codec::EventSet as _;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::money::Currency;
use kernel::sync::{LegacyState, Patch};
use orders_contract::{
    CancellationReason, ImportedOrderStatus, OrderCancelled, OrderConfirmed, OrderFulfilled,
    OrderId, OrderLine, OrderPlaced, PaymentDeferred,
};
use serde_json::json;
use testkit::given;

mod returning;

use super::{
    Command, Event, LegacyLine, LegacyOrder, LegacyReport, OrderDecider, PlaceOrder, Refusal,
};

const ORDER: OrderId = OrderId::from_u128(1);
const CUSTOMER: CustomerId = CustomerId::from_u128(2);

/// The only event that a command results in.
#[track_caller]
fn only_event(history: &[Event], command: Command) -> Event {
    let outcome = given::<OrderDecider>(history.iter().cloned()).when(command).outcome();
    let mut events = outcome.expect("the command was refused");
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

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

fn present(said: LegacyOrder) -> Command {
    report(LegacyState::Present(said))
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
    only_event(&[], present(legacy_order()))
}

#[track_caller]
fn revision(events: &[Event], command: Command) -> (orders_contract::ImportedOrder, Vec<String>) {
    match only_event(events, command) {
        Event::Revised(mut revised) => {
            revised.changed.sort();
            (revised.state, revised.changed)
        }
        other => panic!("expected a revision, got {other:?}"),
    }
}

#[test]
fn an_order_is_placed_with_its_totals() {
    given::<OrderDecider>([]).when(place(vec![line("2", "49.90", "20")])).then([placed()]);
}

#[test]
fn quantities_and_prices_keep_their_decimals() {
    let event = only_event(&[], place(vec![line("1.500", "10.00", "5.5")]));
    let data = event.to_json().unwrap();
    assert_eq!(data["lines"][0]["quantity"], "1.500");
    assert_eq!(data["lines"][0]["unit_price"], "10.00");
    assert_eq!(data["total_vat"], "0.83");
}

#[test]
fn an_order_without_anything_to_pay_is_refused() {
    given::<OrderDecider>([]).when(place(vec![])).refuses(&Refusal::NothingToPay);
    given::<OrderDecider>([])
        .when(place(vec![line("1", "0", "20")]))
        .refuses(&Refusal::NothingToPay);
    given::<OrderDecider>([])
        .when(place(vec![line("1", "0.004", "20")]))
        .refuses(&Refusal::NothingToPay);
}

#[test]
fn an_order_beyond_computing_is_refused() {
    let huge = "70000000000000000000000000000";
    given::<OrderDecider>([])
        .when(place(vec![line(huge, "10", "20")]))
        .refuses(&Refusal::TotalTooLarge);
}

#[test]
fn an_order_is_placed_once() {
    for history in [
        vec![placed()],
        vec![placed(), confirmed()],
        vec![placed(), confirmed(), fulfilled()],
        vec![placed(), cancelled(on_request())],
    ] {
        given::<OrderDecider>(history.clone())
            .when(place(vec![line("2", "49.90", "20")]))
            .refuses(&Refusal::AlreadyPlaced);
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

#[test]
fn what_the_legacy_owns_is_not_changed_here() {
    for command in [
        place(vec![line("2", "49.90", "20")]),
        Command::Confirm,
        Command::Fulfil,
        Command::Cancel(on_request()),
    ] {
        given::<OrderDecider>([imported()]).when(command).refuses(&Refusal::OwnedByLegacy);
    }
}

#[test]
fn what_was_placed_here_is_not_changed_by_the_legacy() {
    for history in [
        vec![placed()],
        vec![placed(), confirmed()],
        vec![placed(), confirmed(), fulfilled()],
        vec![placed(), cancelled(on_request())],
    ] {
        given::<OrderDecider>(history.clone())
            .when(present(legacy_order()))
            .refuses(&Refusal::OwnedByBascule);
        given::<OrderDecider>(history.clone())
            .when(absent("deleted"))
            .refuses(&Refusal::OwnedByBascule);
    }
}

#[test]
fn an_order_is_imported_as_it_is() {
    let Event::Imported(event) = imported() else { panic!("not imported") };
    assert_eq!(event.order_id, ORDER);
    assert_eq!(event.legacy.id, "sale_sale/7");
    assert_eq!(event.state.status, ImportedOrderStatus::Confirmed);
    assert_eq!(event.state.currency, "CHF");
    assert_eq!(event.state.note, Some(Personal::Known("ring twice".to_owned())));
    assert_eq!(event.state.lines[0].quantity.to_string(), "-1.5");
    assert_eq!(event.state.lines[0].unit_price.to_string(), "18.0000");
    assert_eq!(event.state.total.unwrap().to_string(), "-27.01");
    assert_eq!(event.state.total_net, None, "what the legacy does not say is not recomputed");
}

#[test]
fn an_imported_order_needs_a_status_and_a_currency() {
    let without_status = LegacyOrder { status: Patch::Keep, ..legacy_order() };
    given::<OrderDecider>([])
        .when(present(without_status))
        .refuses(&Refusal::IncompleteReport { field: "status" });
    let without_currency = LegacyOrder { currency: Patch::Clear, ..legacy_order() };
    given::<OrderDecider>([imported()])
        .when(present(without_currency))
        .refuses(&Refusal::IncompleteReport { field: "currency" });
}

#[test]
fn the_same_report_twice_records_nothing() {
    given::<OrderDecider>([imported()]).when(present(legacy_order())).changes_nothing();
    given::<OrderDecider>([imported()]).when(present(LegacyOrder::default())).changes_nothing();
}

#[test]
fn a_revision_names_what_changed_and_keeps_what_is_not_said() {
    let said = LegacyOrder {
        status: Patch::Set(ImportedOrderStatus::Fulfilled),
        number: Patch::Clear,
        comments: Patch::Set(vec!["handle with care".to_owned()]),
        ..LegacyOrder::default()
    };
    let (state, changed) = revision(&[imported()], present(said));
    assert_eq!(changed, ["comments", "number", "status"]);
    assert_eq!(state.status, ImportedOrderStatus::Fulfilled);
    assert_eq!(state.number, None);
    assert_eq!(state.currency, "CHF");
    assert_eq!(state.lines.len(), 1);
    assert_eq!(state.comments, Some(Personal::Known(vec!["handle with care".to_owned()])));
}

#[test]
fn no_comments_and_an_empty_list_of_them_are_the_same() {
    let said = LegacyOrder { comments: Patch::Set(vec![]), ..legacy_order() };
    given::<OrderDecider>([imported()]).when(present(said)).changes_nothing();
}

#[test]
fn what_never_was_an_order_is_ignored() {
    given::<OrderDecider>([]).when(absent("state draft")).changes_nothing();
}

#[test]
fn what_is_no_order_any_more_is_cancelled_and_can_come_back() {
    let (taken_back, changed) = revision(&[imported()], absent("state draft"));
    assert_eq!(changed, ["cancelled_reason", "status"]);
    assert_eq!(taken_back.status, ImportedOrderStatus::Cancelled);
    assert_eq!(taken_back.cancelled_reason, Some("state draft".to_owned().into()));

    let history = [imported(), only_event(&[imported()], absent("state draft"))];
    given::<OrderDecider>(history.clone()).when(absent("state draft")).changes_nothing();
    let (reinstated, _) = revision(&history, present(legacy_order()));
    assert_eq!(reinstated.status, ImportedOrderStatus::Confirmed);
    assert_eq!(reinstated.cancelled_reason, None);
}

#[test]
fn a_report_shows_no_personal_data() {
    assert!(!format!("{:?}", present(legacy_order())).contains("ring twice"));
}

/// A snapshot is read by other releases, too. Whatever changes here needs another version of the
/// schema: raise it in [`OrderDecider::snapshots`].
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

#[test]
fn a_snapshot_is_sealed_with_the_key_of_the_imported_events() {
    let imported = |customer_id| {
        let order = LegacyOrder { customer_id, ..legacy_order() };
        let imported = only_event(&[], present(order));
        given::<OrderDecider>([imported]).state().clone()
    };
    let rule = OrderDecider::snapshots().unwrap();
    let stream = StreamName::of(OrderDecider::CATEGORY, ORDER);
    let known = imported(Patch::Set(CUSTOMER));
    assert_eq!((rule.data_subject)(&stream, &known), Some(CUSTOMER.as_uuid()));
    assert_eq!((rule.data_subject)(&stream, &imported(Patch::Clear)), Some(ORDER.as_uuid()));
}
