//! Imported documents.

use testkit::Given;

use super::*;

fn report(state: LegacyState<LegacyInvoice>) -> Command {
    Command::Sync(Box::new(LegacyReport { id: INVOICE.as_uuid(), legacy: reference(), state }))
}

fn reference() -> LegacyReference {
    LegacyReference { source: "tryton".to_owned(), id: "7".to_owned() }
}

fn present(said: LegacyInvoice) -> Command {
    report(LegacyState::Present(said))
}

fn absent(reason: &str) -> Command {
    report(LegacyState::Absent { reason: reason.to_owned() })
}

fn said() -> LegacyInvoice {
    LegacyInvoice {
        status: Patch::Set(DocumentStatus::Issued),
        kind: Patch::Set(DocumentKind::Invoice),
        number: Patch::Set("FA2025-00001".to_owned()),
        date: Patch::Set(day("2025-01-10")),
        currency: Patch::Set("EUR".to_owned()),
        customer_id: Patch::Set(CUSTOMER),
        order_ids: Patch::Set(vec![ORDER.as_uuid()]),
        credits: Patch::Keep,
        credited_by: Patch::Set(vec![]),
        total_net: Patch::Set(decimal("487.90")),
        total_vat: Patch::Set(decimal("57.91")),
        // A cent more than net and tax: totals are kept as reported.
        total: Patch::Set(decimal("545.82")),
        vat: Patch::Set(vec![LegacyVat {
            rate: None,
            base: decimal("487.90"),
            amount: decimal("57.91"),
        }]),
        paid: Patch::Keep,
        flags: Patch::Set(vec!["totals_differ".to_owned()]),
    }
}

fn state() -> ImportedInvoice {
    ImportedInvoice {
        status: DocumentStatus::Issued,
        voided_reason: None,
        kind: DocumentKind::Invoice,
        number: "FA2025-00001".to_owned(),
        date: Some(day("2025-01-10")),
        currency: "EUR".to_owned(),
        customer_id: Some(CUSTOMER),
        order_ids: vec![ORDER.as_uuid()],
        credits: vec![],
        credited_by: vec![],
        total_net: Some(decimal("487.90")),
        total_vat: Some(decimal("57.91")),
        total: decimal("545.82"),
        vat: vec![VatTotal { rate: None, base: decimal("487.90"), amount: decimal("57.91") }],
        paid: Decimal::ZERO,
        flags: vec!["totals_differ".to_owned()],
    }
}

fn imported(state: ImportedInvoice) -> Event {
    InvoiceImported { invoice_id: INVOICE, legacy: reference(), state }.into()
}

fn revised(state: ImportedInvoice, changed: &[&str]) -> Event {
    let changed = changed.iter().map(|&name| name.to_owned()).collect();
    InvoiceRevised { invoice_id: INVOICE, legacy: reference(), state, changed }.into()
}

/// Returns the one revision that a command records of a document.
#[track_caller]
fn revised_by(document: Given<InvoiceDecider>, command: Command) -> InvoiceRevised {
    match document.when(command).event() {
        Event::Revised(revised) => revised,
        other => panic!("expected a revision, got {other:?}"),
    }
}

#[test]
fn a_first_report_is_taken_as_it_is() {
    given::<InvoiceDecider>([]).when(present(said())).then([imported(state())]);
}

#[test]
fn the_same_state_again_records_nothing() {
    given::<InvoiceDecider>([imported(state())]).when(present(said())).changes_nothing();
}

#[test]
fn what_changed_is_named_and_the_rest_is_kept() {
    let news = LegacyInvoice {
        status: Patch::Set(DocumentStatus::Paid),
        paid: Patch::Set(decimal("545.82")),
        ..LegacyInvoice::default()
    };
    let mut found = revised_by(given([imported(state())]), present(news));
    found.changed.sort();
    assert_eq!(found.changed, ["paid", "status"]);
    let paid = ImportedInvoice { status: DocumentStatus::Paid, paid: decimal("545.82"), ..state() };
    assert_eq!(found.state, paid);
}

#[test]
fn null_clears() {
    let news = LegacyInvoice {
        date: Patch::Clear,
        customer_id: Patch::Clear,
        order_ids: Patch::Clear,
        total_net: Patch::Clear,
        total_vat: Patch::Clear,
        vat: Patch::Clear,
        flags: Patch::Clear,
        ..LegacyInvoice::default()
    };
    let found = revised_by(given([imported(state())]), present(news));
    let cleared = ImportedInvoice {
        date: None,
        customer_id: None,
        order_ids: vec![],
        total_net: None,
        total_vat: None,
        vat: vec![],
        flags: vec![],
        ..state()
    };
    assert_eq!(found.state, cleared);
    assert_eq!(found.changed.len(), 7, "{:?}", found.changed);
}

#[test]
fn what_no_document_can_be_without_is_named() {
    for field in ["status", "kind", "number", "currency", "total"] {
        let mut said = said();
        match field {
            "status" => said.status = Patch::Keep,
            "kind" => said.kind = Patch::Keep,
            "number" => said.number = Patch::Clear,
            "currency" => said.currency = Patch::Keep,
            _ => said.total = Patch::Clear,
        }
        given::<InvoiceDecider>([])
            .when(present(said))
            .refuses(&Refusal::IncompleteReport { field });
    }
}

#[test]
fn what_never_was_a_document_is_ignored() {
    given::<InvoiceDecider>([]).when(absent("state draft")).changes_nothing();
}

#[test]
fn what_is_a_document_no_more_is_voided_with_the_reason() {
    let taken_back = ImportedInvoice {
        status: DocumentStatus::Voided,
        voided_reason: Some("deleted".to_owned().into()),
        ..state()
    };
    let found = revised_by(given([imported(state())]), absent("deleted"));
    assert_eq!(found.state, taken_back);
    let gone =
        || given::<InvoiceDecider>([imported(state()), revised(taken_back.clone(), &["status"])]);
    gone().when(absent("deleted")).changes_nothing();
    // The document is present again.
    assert_eq!(revised_by(gone(), present(said())).state, state());
    // Its status must be reported again: the recorded one only shows that it was absent.
    let silent = LegacyInvoice { status: Patch::Keep, ..said() };
    gone().when(present(silent)).refuses(&Refusal::IncompleteReport { field: "status" });
}

#[test]
fn a_number_that_looks_like_ours_is_flagged_and_the_flag_is_ours_alone() {
    let numbered = |number: &str, flags: Patch<Vec<String>>| {
        let number = Patch::Set(number.to_owned());
        present(LegacyInvoice { number, flags, ..said() })
    };
    let flags_of = |command: Command| {
        let events = given::<InvoiceDecider>([]).when(command).outcome().unwrap();
        let [Event::Imported(found)] = &events[..] else { panic!("{events:?}") };
        found.state.flags.clone()
    };
    let flags = flags_of(numbered("2026-000001", Patch::Set(vec!["old".to_owned()])));
    assert_eq!(flags, ["old", NUMBER_LIKE_OURS]);
    let claimed = vec![NUMBER_LIKE_OURS.to_owned()];
    assert!(flags_of(numbered("FA2025-00001", Patch::Set(claimed.clone()))).is_empty());

    let flagged = ImportedInvoice { number: "2026-000001".to_owned(), flags: claimed, ..state() };
    let known = || given::<InvoiceDecider>([imported(flagged.clone())]);
    known().when(numbered("2026-000001", Patch::Clear)).changes_nothing();
    let found = revised_by(known(), numbered("FA2025-00001", Patch::Keep));
    assert!(found.state.flags.is_empty());
}

#[test]
fn the_legacy_systems_documents_obey_nobody_else() {
    let known = || given::<InvoiceDecider>([imported(state())]);
    known().when(issue(order())).refuses(&Refusal::OwnedByLegacy);
    known().when(credit()).refuses(&Refusal::OwnedByLegacy);
    known().when(pay(PAYMENT, "545.82", "EUR")).refuses(&Refusal::OwnedByLegacy);
    known().when(give_back(PAYMENT, "545.82")).refuses(&Refusal::OwnedByLegacy);
    known().when(void(VoidReason::OrderCancelled)).refuses(&Refusal::OwnedByLegacy);
}

#[test]
fn our_documents_do_not_obey_the_legacy_system() {
    for ours in [vec![issued()], vec![issued(), paid()], vec![credited()]] {
        given::<InvoiceDecider>(ours.clone())
            .when(present(said()))
            .refuses(&Refusal::OwnedByBascule);
        given::<InvoiceDecider>(ours.clone())
            .when(absent("deleted"))
            .refuses(&Refusal::OwnedByBascule);
    }
}
