//! Reads a request to its end even if some fields are invalid, so that every invalid field gets an
//! entry.
//!
//! A deserializer stops at the first error, and the deserializer of a field does not know its path.
//! Therefore an invalid field records its error during the read and returns its rule's example
//! instead; a value that contains such an example is never returned. To find the path of the n-th
//! invalid field, the request is read again and the read stops there.

use std::cell::RefCell;

use serde::de;
use serde_path_to_error::Error;

use super::Invalid;
use crate::problem::FieldError;

/// Maximum number of invalid fields in a response, which limits the work caused by an invalid
/// request.
pub(crate) const MOST_NAMED: usize = 50;

/// The read in progress on this thread.
struct Reading {
    found: Vec<Invalid>,
    /// The index of the invalid field at which to stop.
    stop_at: Option<usize>,
}

thread_local! {
    static READING: RefCell<Option<Reading>> = const { RefCell::new(None) };
}

/// Ends a read on every exit path.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        READING.set(None);
    }
}

/// Returns the result of an invalid field: `instead` during a read of a whole request, otherwise the
/// error.
pub(crate) fn refuse<T, E: de::Error>(invalid: Invalid, instead: Option<T>) -> Result<T, E> {
    let error = E::custom(&invalid.message);
    let goes_on = READING.with_borrow_mut(|reading| {
        let Some(reading) = reading else { return false };
        reading.found.push(invalid);
        reading.stop_at.is_none_or(|before| reading.found.len() <= before)
    });
    instead.filter(|_| goes_on).ok_or(error)
}

/// Reads a request; returns the value and an entry for each invalid field. If there are entries, the
/// value must not be used.
pub(crate) fn read<T, E>(
    read: impl Fn() -> Result<T, Error<E>>,
) -> (Result<T, Error<E>>, Vec<FieldError>) {
    let (outcome, found) = read_until(None, &read);
    let named = found.iter().take(MOST_NAMED).enumerate();
    let entries = named.filter_map(|(before, invalid)| {
        let error = read_until(Some(before), &read).0.err()?;
        Some(FieldError::new(error.path().to_string(), invalid.code, invalid.message.as_ref()))
    });
    let entries = entries.collect();
    (outcome, entries)
}

fn read_until<T, E>(
    stop_at: Option<usize>,
    read: impl Fn() -> Result<T, Error<E>>,
) -> (Result<T, Error<E>>, Vec<Invalid>) {
    READING.set(Some(Reading { found: Vec::new(), stop_at }));
    let _ending = Ending;
    let outcome = read();
    let found = READING.take().map_or_else(Vec::new, |reading| reading.found);
    (outcome, found)
}
