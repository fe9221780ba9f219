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
