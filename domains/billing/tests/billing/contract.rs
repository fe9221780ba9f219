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

#[test]
fn reasons_once_stored_in_the_clear_are_read_as_personal_values() {
    let pairs = [
        ("InvoiceImported.v1", "InvoiceImported.v2"),
        ("InvoiceRevised.v1", "InvoiceRevised.v2"),
        ("InvoiceVoided.v1", "InvoiceVoided.v2"),
    ];
    golden::upcasts::<Event>(NAME, &folder("contract/golden"), &pairs);
}
