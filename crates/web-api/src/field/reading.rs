//! Reading a request to its end although some of its fields are invalid, so that every invalid field has
//! its entry.
//!
//! A deserializer stops at the first error, and the deserializer of a field does not know its path. While
//! a request is read here, an invalid field therefore notes why and hands out its rule's example instead;
//! what was read so is never returned. The path of the n-th invalid field is found by reading the request
//! once more and stopping there.

use std::cell::RefCell;

use serde::de;
use serde_path_to_error::Error;

use super::Invalid;
use crate::problem::FieldError;

/// Most invalid fields that are named, which bounds the work that an invalid request makes.
pub(crate) const MOST_NAMED: usize = 50;

/// The request that this thread reads at the moment.
struct Reading {
    found: Vec<Invalid>,
    /// The invalid field at which to stop: how many are before it.
    stop_at: Option<usize>,
}

thread_local! {
    static READING: RefCell<Option<Reading>> = const { RefCell::new(None) };
}

/// Ends a reading, whatever way it is left.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        READING.set(None);
    }
}

/// Returns what a field reads that is invalid: `instead` while a whole request is read, else the error.
pub(crate) fn refuse<T, E: de::Error>(invalid: Invalid, instead: Option<T>) -> Result<T, E> {
    let error = E::custom(&invalid.message);
    let goes_on = READING.with_borrow_mut(|reading| {
        let Some(reading) = reading else { return false };
        reading.found.push(invalid);
        reading.stop_at.is_none_or(|before| reading.found.len() <= before)
    });
    instead.filter(|_| goes_on).ok_or(error)
}

/// Reads a request; returns what came of it and an entry for each invalid field. Where there are
/// entries, the value is not to be used.
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
