//! The stored form of every event version, kept for ever.

use std::path::{Path, PathBuf};

use orders::NAME;
use orders::domain::Event;
use testkit::golden;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/golden")
}

#[test]
fn published_events_keep_their_format() {
    golden::keeps_published_formats::<Event>(NAME, orders_contract::CATALOGUE, &folder());
}

#[test]
fn words_once_stored_in_the_clear_are_read_as_personal_values() {
    let pairs = [
        ("OrderCancelled.v1", "OrderCancelled.v3.customer-unknown"),
        ("OrderCancelled.v2", "OrderCancelled.v3"),
        ("OrderImported.v1", "OrderImported.v2"),
        ("OrderRevised.v1", "OrderRevised.v2"),
    ];
    golden::upcasts::<Event>(NAME, &folder(), &pairs);
}
