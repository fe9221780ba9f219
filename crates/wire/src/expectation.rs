//! Expected revisions of streams, in the forms of each request and response.

use kernel::event::Revision;
use kernel::store::ExpectedRevision;

use crate::protocol::shared::Empty;
use crate::protocol::streams::{
    append_req, append_resp, batch_append_req, batch_append_resp, delete_req, tombstone_req,
};
use crate::refusal::Refusal;

fn missing() -> Refusal {
    Refusal::Invalid(
        "the expected revision is missing: send a revision, no_stream, any or stream_exists"
            .to_owned(),
    )
}

/// The unary requests have the same four choices, each as a type of its own.
macro_rules! read_expectation {
    ($name:ident, $request:ident) => {
        pub(crate) fn $name(
            expected: Option<$request::options::ExpectedStreamRevision>,
        ) -> Result<ExpectedRevision, Refusal> {
            use $request::options::ExpectedStreamRevision as Given;
            Ok(match expected.ok_or_else(missing)? {
                Given::Revision(revision) => ExpectedRevision::Revision(revision),
                Given::NoStream(_) => ExpectedRevision::NoStream,
                Given::Any(_) => ExpectedRevision::Any,
                Given::StreamExists(_) => ExpectedRevision::Exists,
            })
        }
    };
}

read_expectation!(of_append, append_req);
read_expectation!(of_delete, delete_req);
read_expectation!(of_tombstone, tombstone_req);

/// Reads the expectation of an append in a batch.
pub(crate) fn of_batch(
    expected: Option<batch_append_req::options::ExpectedStreamPosition>,
) -> Result<ExpectedRevision, Refusal> {
    use batch_append_req::options::ExpectedStreamPosition as Given;
    Ok(match expected.ok_or_else(missing)? {
        Given::StreamPosition(revision) => ExpectedRevision::Revision(revision),
        Given::NoStream(()) => ExpectedRevision::NoStream,
        Given::Any(()) => ExpectedRevision::Any,
        Given::StreamExists(()) => ExpectedRevision::Exists,
    })
}

/// Returns the expectation for the response.
pub(crate) fn echoed(expected: ExpectedRevision) -> batch_append_resp::ExpectedStreamPosition {
    use batch_append_resp::ExpectedStreamPosition as Echoed;
    match expected {
        ExpectedRevision::Revision(revision) => Echoed::StreamPosition(revision),
        ExpectedRevision::NoStream => Echoed::NoStream(()),
        ExpectedRevision::Any => Echoed::Any(()),
        ExpectedRevision::Exists => Echoed::StreamExists(()),
    }
}

/// Returns the conflict of an Append, for current clients and those of version 20.6.
pub(crate) fn conflict(
    expected: ExpectedRevision,
    actual: Option<Revision>,
) -> append_resp::WrongExpectedVersion {
    use append_resp::wrong_expected_version::{
        CurrentRevisionOption as Current, CurrentRevisionOption2060 as OldCurrent,
        ExpectedRevisionOption as Expected, ExpectedRevisionOption2060 as OldExpected,
    };
    append_resp::WrongExpectedVersion {
        current_revision_option_20_6_0: Some(match actual {
            Some(revision) => OldCurrent::CurrentRevision2060(revision),
            None => OldCurrent::NoStream2060(Empty {}),
        }),
        expected_revision_option_20_6_0: match expected {
            ExpectedRevision::Any => Some(OldExpected::Any2060(Empty {})),
            ExpectedRevision::Exists => Some(OldExpected::StreamExists2060(Empty {})),
            ExpectedRevision::Revision(revision) => {
                Some(OldExpected::ExpectedRevision2060(revision))
            }
            ExpectedRevision::NoStream => None,
        },
        current_revision_option: Some(match actual {
            Some(revision) => Current::CurrentRevision(revision),
            None => Current::CurrentNoStream(Empty {}),
        }),
        expected_revision_option: Some(match expected {
            ExpectedRevision::Any => Expected::ExpectedAny(Empty {}),
            ExpectedRevision::Exists => Expected::ExpectedStreamExists(Empty {}),
            ExpectedRevision::NoStream => Expected::ExpectedNoStream(Empty {}),
            ExpectedRevision::Revision(revision) => Expected::ExpectedRevision(revision),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_must_be_given() {
        assert!(of_append(None).is_err());
        assert!(of_batch(None).is_err());
        use append_req::options::ExpectedStreamRevision as Given;
        assert_eq!(of_append(Some(Given::Revision(0))).unwrap(), ExpectedRevision::Revision(0));
    }

    #[test]
    fn what_is_echoed_is_what_was_given() {
        for expected in [
            ExpectedRevision::Any,
            ExpectedRevision::NoStream,
            ExpectedRevision::Exists,
            ExpectedRevision::Revision(7),
        ] {
            use batch_append_req::options::ExpectedStreamPosition as Given;
            use batch_append_resp::ExpectedStreamPosition as Echoed;
            let given = match echoed(expected) {
                Echoed::StreamPosition(revision) => Given::StreamPosition(revision),
                Echoed::NoStream(()) => Given::NoStream(()),
                Echoed::Any(()) => Given::Any(()),
                Echoed::StreamExists(()) => Given::StreamExists(()),
            };
            assert_eq!(of_batch(Some(given)).unwrap(), expected);
        }
    }
}
