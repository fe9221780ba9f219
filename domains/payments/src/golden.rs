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
