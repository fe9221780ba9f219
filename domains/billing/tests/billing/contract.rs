//! The stored form of every event version, kept for ever.

use std::path::{Path, PathBuf};

use billing::NAME;
use billing::domain::Event;
use billing::domain::retention::RetentionEvent;
use billing::domain::series::SeriesEvent;
use kernel::codec::Either;
use testkit::golden;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn published_events_keep_their_format() {
    let folder = folder("contract/golden");
    golden::keeps_published_formats::<Event>(NAME, billing_contract::CATALOGUE, &folder);
}

#[test]
fn internal_events_keep_their_format() {
    type Internal = Either<SeriesEvent, RetentionEvent>;
    golden::keeps_internal_formats::<Internal>(NAME, &folder("golden"));
}
