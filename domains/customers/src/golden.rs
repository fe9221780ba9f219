//! The stored form of every event version, kept for ever.

use std::path::{Path, PathBuf};

use testkit::golden;

use crate::NAME;
use crate::domain::Event;
use crate::domain::email::EmailEvent;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn published_events_keep_their_format() {
    let folder = folder("contract/golden");
    golden::keeps_published_formats::<Event>(NAME, customers_contract::CATALOGUE, &folder);
}

#[test]
fn internal_events_keep_their_format() {
    golden::keeps_internal_formats::<EmailEvent>(NAME, &folder("golden"));
}

#[test]
fn reasons_once_stored_in_the_clear_are_read_as_personal_values() {
    let pairs = [
        ("CustomerClosed.v1", "CustomerClosed.v2"),
        ("CustomerImported.v1", "CustomerImported.v2"),
        ("CustomerRevised.v1", "CustomerRevised.v2"),
    ];
    golden::upcasts::<Event>(NAME, &folder("contract/golden"), &pairs);
}
