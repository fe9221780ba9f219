//! Importing the state of a legacy system.

use event_contract::Personal;
use kernel::event::StreamName;

use super::*;

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
    let stated = LegacyOrder {
        status: Patch::Set(ImportedOrderStatus::Fulfilled),
        number: Patch::Clear,
        comments: Patch::Set(vec!["handle with care".to_owned()]),
        ..LegacyOrder::default()
    };
    let (state, changed) = revision(&[imported()], present(stated));
    assert_eq!(changed, ["comments", "number", "status"]);
    assert_eq!(state.status, ImportedOrderStatus::Fulfilled);
    assert_eq!(state.number, None);
    assert_eq!(state.currency, "CHF");
    assert_eq!(state.lines.len(), 1);
    assert_eq!(state.comments, Some(Personal::Known(vec!["handle with care".to_owned()])));
}

#[test]
fn no_comments_and_an_empty_list_of_them_are_the_same() {
    let stated = LegacyOrder { comments: Patch::Set(vec![]), ..legacy_order() };
    given::<OrderDecider>([imported()]).when(present(stated)).changes_nothing();
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

    let history =
        [imported(), given::<OrderDecider>([imported()]).when(absent("state draft")).event()];
    given::<OrderDecider>(history.clone()).when(absent("state draft")).changes_nothing();
    let (reinstated, _) = revision(&history, present(legacy_order()));
    assert_eq!(reinstated.status, ImportedOrderStatus::Confirmed);
    assert_eq!(reinstated.cancelled_reason, None);
}

#[test]
fn a_report_shows_no_personal_data() {
    assert!(!format!("{:?}", present(legacy_order())).contains("ring twice"));
}

#[test]
fn a_snapshot_is_sealed_with_the_key_of_the_imported_events() {
    let imported = |customer_id| {
        let order = LegacyOrder { customer_id, ..legacy_order() };
        let imported = given::<OrderDecider>([]).when(present(order)).event();
        given::<OrderDecider>([imported]).state().clone()
    };
    let rule = OrderDecider::snapshots().unwrap();
    let stream = StreamName::of(OrderDecider::CATEGORY, ORDER);
    let known = imported(Patch::Set(CUSTOMER));
    assert_eq!((rule.data_subject)(&stream, &known), Some(CUSTOMER.as_uuid()));
    assert_eq!((rule.data_subject)(&stream, &imported(Patch::Clear)), Some(ORDER.as_uuid()));
}
