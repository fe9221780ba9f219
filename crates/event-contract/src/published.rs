//! [`published!`](crate::published!): what a contract says of its events, as one table.

use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::Published;

/// An event whose contract keeps a sample of it.
pub trait Sample: Published + DeserializeOwned {
    /// The sample: data of the event as JSON, with personal values in clear.
    const JSON: &'static str;

    /// Returns the sample as an event, for the tests of the modules that read it.
    ///
    /// # Panics
    ///
    /// Panics if the sample cannot be read. The tests of the module that publishes the event check that
    /// it can.
    fn sample() -> Self {
        serde_json::from_str(Self::JSON).unwrap_or_else(|error| {
            panic!("cannot read the sample of {}: {error}", Self::TYPE);
        })
    }
}

/// Declares events: one row for each version of each event, with its stored name, its type, the version
/// that it is converted from ([`Upcaster`](crate::Upcaster)) and the person whose key encrypts its
/// personal data ([`Published::data_subject`]).
///
/// In a contract the table begins with the catalogue, which lists all the rows. Each row then has a
/// [`Sample`]: the file `golden/<stored name>.json` in the folder of the crate. Without the file, the
/// crate does not compile.
///
/// ```ignore
/// event_contract::published! {
///     /// Every version of every event that this module publishes or ever published.
///     pub const CATALOGUE;
///
///     "lamps.LampLit.v1": LampLitV1;
///     "lamps.LampLit.v2": LampLit, from LampLitV1;
///     "lamps.LampSold.v1": LampSold, about |event| event.customer_id;
/// }
/// ```
///
/// Without a catalogue, the events are internal to their module:
///
/// ```
/// # use event_contract::Published;
/// struct LampChecked;
///
/// event_contract::published! {
///     "lamps.LampChecked.v1": LampChecked;
/// }
///
/// assert_eq!(LampChecked::TYPE, "lamps.LampChecked.v1");
/// ```
#[macro_export]
macro_rules! published {
    (
        $(#[$meta:meta])*
        $visibility:vis const $catalogue:ident;
        $($event_type:literal: $event:ty $(, from $older:ty)? $(, about $subject:expr)?;)+
    ) => {
        $(#[$meta])*
        $visibility const $catalogue: &[$crate::PublishedEvent] =
            &[$($crate::PublishedEvent::of::<$event>()),+];

        $(impl $crate::Sample for $event {
            const JSON: &'static str = ::core::include_str!(::core::concat!(
                ::core::env!("CARGO_MANIFEST_DIR"), "/golden/", $event_type, ".json"
            ));
        })+

        $crate::published! {
            $($event_type: $event $(, from $older)? $(, about $subject)?;)+
        }
    };
    ($($event_type:literal: $event:ty $(, from $older:ty)? $(, about $subject:expr)?;)+) => {$(
        impl $crate::Published for $event {
            const TYPE: &'static str = $event_type;
            $(const UPCASTER: ::core::option::Option<$crate::Upcaster<Self>> =
                ::core::option::Option::Some($crate::Upcaster::from::<$older>());)?
            $(fn data_subject(&self) -> ::core::option::Option<$crate::ids::uuid::Uuid> {
                ::core::option::Option::Some($crate::published::subject_of(self, $subject))
            })?
        }
    )+};
}

/// Returns the person of an event. The signature gives the closures of [`published!`](crate::published!)
/// their types.
#[doc(hidden)]
pub fn subject_of<E, I: Into<Uuid>>(event: &E, subject: impl FnOnce(&E) -> I) -> Uuid {
    subject(event).into()
}
