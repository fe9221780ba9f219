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
