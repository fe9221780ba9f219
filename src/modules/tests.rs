//! What the descriptions promise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use testkit::golden;

use super::descriptions;
use crate::registry;

/// Where the samples of a module's events are: the published ones, and those of its own.
fn samples(module: &str) -> Vec<PathBuf> {
    let domain = Path::new(env!("CARGO_MANIFEST_DIR")).join("domains").join(module);
    let folders = [domain.join("contract/golden"), domain.join("golden")];
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

#[test]
fn every_subscription_reads_every_version_that_was_ever_published_to_it() {
    let mut subscriptions = 0;
    for subscription in descriptions().iter().flat_map(|module| &module.subscriptions) {
        assert!(!subscription.types.is_empty(), "{} reads nothing", subscription.name);
        golden::are_read_by(subscription, samples);
        subscriptions += 1;
    }
    assert!(
        subscriptions > registry::modules().len(),
        "there are only {subscriptions} subscriptions"
    );
}

#[test]
fn whoever_reads_an_event_reads_all_its_versions() {
    let modules = descriptions();
    let published: BTreeSet<&str> =
        modules.iter().flat_map(|module| module.published).map(|event| event.event_type).collect();
    for subscription in modules.iter().flat_map(|module| &module.subscriptions) {
        let families = subscription.families();
        for event_type in &published {
            let reads_family =
                kernel::event::family(event_type).is_some_and(|family| families.contains(family));
            assert_eq!(
                subscription.reads(event_type),
                reads_family,
                "{} and {event_type}",
                subscription.name
            );
        }
    }
}

#[test]
fn every_published_event_is_written_to_the_streams_of_one_category() {
    for module in descriptions() {
        for event in module.published {
            let categories = module.categories.iter();
            let of_it = categories.filter(|one| one.readable.contains(&event.event_type)).count();
            assert_eq!(of_it, 1, "{}: describe its decider", event.event_type);
        }
    }
}

#[cfg(feature = "system")]
mod system;
