//! Ids of aggregates: a type for each kind, so that one is never taken for another.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

#[doc(hidden)]
pub use {schemars, serde, uuid};

/// The id of an aggregate, made by [`id!`](crate::id).
pub trait Identifier:
    Copy
    + Ord
    + Hash
    + Debug
    + Display
    + FromStr
    + Serialize
    + DeserializeOwned
    + From<Uuid>
    + Into<Uuid>
    + Send
    + Sync
    + 'static
{
    /// What the id identifies, in small letters: `order`.
    const KIND: &'static str;
}

/// Declares the ids of a kind of aggregate: types of their own over [`Uuid`], in JSON, in schemas and in
/// storage the same as one.
///
/// ```
/// event_contract::id! {
///     /// Identifies a lamp.
///     pub LampId of "lamp";
///     /// Identifies a door.
///     pub DoorId of "door";
/// }
///
/// let lamp = LampId::from_u128(7);
/// assert_eq!(lamp.to_string(), "00000000-0000-0000-0000-000000000007");
/// assert_eq!(serde_json::to_value(lamp).unwrap(), serde_json::json!(lamp.as_uuid()));
/// assert_eq!(DoorId::from(lamp.as_uuid()), DoorId::from_u128(7));
/// ```
///
/// A lamp is no door:
///
/// ```compile_fail
/// # event_contract::id! { #[doc = ""] pub LampId of "lamp"; #[doc = ""] pub DoorId of "door"; }
/// let door: DoorId = LampId::from_u128(7);
/// ```
#[macro_export]
macro_rules! id {
    ($($(#[$meta:meta])* $visibility:vis $name:ident of $kind:literal;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name($crate::ids::uuid::Uuid);

        impl $name {
            /// Returns the id of a UUID.
            pub const fn new(uuid: $crate::ids::uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the id of a UUID that is written as a number.
            pub const fn from_u128(number: u128) -> Self {
                Self($crate::ids::uuid::Uuid::from_u128(number))
            }

            /// Returns the UUID.
            pub const fn as_uuid(self) -> $crate::ids::uuid::Uuid {
                self.0
            }
        }

        impl $crate::Identifier for $name {
            const KIND: &'static str = $kind;
        }

        impl From<$crate::ids::uuid::Uuid> for $name {
            fn from(uuid: $crate::ids::uuid::Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for $crate::ids::uuid::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::ids::uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl $crate::ids::serde::Serialize for $name {
            fn serialize<S: $crate::ids::serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> $crate::ids::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::ids::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::ids::serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }

        impl $crate::ids::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                <$crate::ids::uuid::Uuid as $crate::ids::schemars::JsonSchema>::inline_schema()
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                <$crate::ids::uuid::Uuid as $crate::ids::schemars::JsonSchema>::schema_name()
            }

            fn json_schema(
                generator: &mut $crate::ids::schemars::SchemaGenerator,
            ) -> $crate::ids::schemars::Schema {
                <$crate::ids::uuid::Uuid as $crate::ids::schemars::JsonSchema>::json_schema(generator)
            }
        }
    )+};
}
