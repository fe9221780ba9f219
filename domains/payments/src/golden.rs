//! The stored form of every event version, kept for ever.

use std::path::{Path, PathBuf};

use testkit::golden;

use crate::NAME;
use crate::domain::Event;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/golden")
}

#[test]
fn published_events_keep_their_format() {
    golden::keeps_published_formats::<Event>(NAME, payments_contract::CATALOGUE, &folder());
}

#[test]
fn reasons_once_stored_in_the_clear_are_read_as_personal_values() {
    let pairs = [
        ("PaymentDeclined.v1", "PaymentDeclined.v2.customer-unknown"),
        ("RefundRequested.v1", "RefundRequested.v3.customer-unknown"),
        ("RefundRequested.v2", "RefundRequested.v3"),
    ];
    golden::upcasts::<Event>(NAME, &folder(), &pairs);
}
