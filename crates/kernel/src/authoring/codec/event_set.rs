//! Closed sets of events, and the older versions of them that can still be read.

use serde_json::Value;
use uuid::Uuid;

#[doc(hidden)]
pub type JsonError = serde_json::Error;
#[doc(hidden)]
pub type Json = Value;
#[doc(hidden)]
pub type DataSubject = Uuid;

/// A closed set of event types, as an aggregate writes them or a subscription reads them. Made by
/// [`event_set!`](crate::event_set).
pub trait EventSet: Clone + std::fmt::Debug + Send + Sync + Sized + 'static {
    /// The stored names under which events of the set are written.
    fn types() -> Vec<&'static str>;

    /// The stored names that can be read: those written, and every other version with an upcaster.
    fn readable_types() -> Vec<&'static str>;

    /// Whether events stored under this name can be read.
    fn reads(event_type: &str) -> bool;

    /// The stored name this event is written under.
    fn event_type(&self) -> &'static str;

    /// The person whose key seals this event's personal values.
    fn data_subject(&self) -> Option<Uuid>;

    /// The data as JSON, personal values in the clear behind their marker.
    fn to_json(&self) -> Result<Value, serde_json::Error>;

    /// Reads the data of an event of this type, an older version through its upcasters; `None` when
    /// the type is not of this set.
    fn from_json(event_type: &str, data: Value) -> Result<Option<Self>, serde_json::Error>;
}

/// The events of two sets: an aggregate's own, say, and what else concerns the view of it.
#[derive(Debug, Clone)]
pub enum Either<A, B> {
    /// An event of the first set.
    Left(A),
    /// An event of the second set.
    Right(B),
}

impl<A: EventSet, B: EventSet> EventSet for Either<A, B> {
    fn types() -> Vec<&'static str> {
        [A::types(), B::types()].concat()
    }

    fn readable_types() -> Vec<&'static str> {
        [A::readable_types(), B::readable_types()].concat()
    }

    fn event_type(&self) -> &'static str {
        match self {
            Self::Left(event) => event.event_type(),
            Self::Right(event) => event.event_type(),
        }
    }

    fn data_subject(&self) -> Option<Uuid> {
        match self {
            Self::Left(event) => event.data_subject(),
            Self::Right(event) => event.data_subject(),
        }
    }

    fn to_json(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Left(event) => event.to_json(),
            Self::Right(event) => event.to_json(),
        }
    }

    fn from_json(event_type: &str, data: Value) -> Result<Option<Self>, serde_json::Error> {
        if B::reads(event_type) {
            return Ok(B::from_json(event_type, data)?.map(Self::Right));
        }
        Ok(A::from_json(event_type, data)?.map(Self::Left))
    }

    fn reads(event_type: &str) -> bool {
        A::reads(event_type) || B::reads(event_type)
    }
}

/// Declares a set of published events.
///
/// ```
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)] pub struct LampLit {}
/// # impl event_contract::Published for LampLit { const TYPE: &'static str = "house.LampLit.v1"; }
/// kernel::event_set! {
///     /// What happens to a lamp.
///     pub enum LampEvent { Lit(LampLit) }
/// }
/// ```
///
/// Every version that a contract's [`UPCASTER`](event_contract::Published::UPCASTER) leads from is
/// read, too: whoever lists an event need not know that it had other versions.
///
/// # Read one release before it is written
///
/// While two releases run side by side, the older one must be able to read what the newer writes.
/// So a new version is first published with `written as` the version before it, which the newest
/// must then be convertible into; the release after that drops the two words.
///
/// ```
/// # use event_contract::{Published, Upcaster};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)] pub struct LampLitV1 {}
/// # #[derive(Debug, Clone, Serialize, Deserialize)] pub struct LampLit { lumens: Option<u32> }
/// # impl Published for LampLitV1 { const TYPE: &'static str = "house.LampLit.v1"; }
/// # impl From<LampLitV1> for LampLit { fn from(_: LampLitV1) -> Self { Self { lumens: None } } }
/// impl Published for LampLit {
///     const TYPE: &'static str = "house.LampLit.v2";
///     const UPCASTER: Option<Upcaster<Self>> = Some(Upcaster::from::<LampLitV1>());
/// }
/// impl From<LampLit> for LampLitV1 {
///     fn from(_: LampLit) -> Self { Self {} }
/// }
/// kernel::event_set! {
///     pub enum LampEvent { Lit(LampLit) written as LampLitV1 }
/// }
/// ```
#[macro_export]
macro_rules! event_set {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($variant:ident($event:ty) $(written as $written:ty)?),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[allow(missing_docs, reason = "each variant is documented on the event it holds")]
        $visibility enum $name { $($variant($event)),+ }

        impl $crate::codec::EventSet for $name {
            fn types() -> Vec<&'static str> {
                vec![$($crate::event_set!(@type $event $(, $written)?)),+]
            }
            fn readable_types() -> Vec<&'static str> {
                [$($crate::codec::readable_types::<$event>()),+].concat()
            }
            fn reads(event_type: &str) -> bool {
                $($crate::codec::reads::<$event>(event_type))||+
            }
            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $crate::event_set!(@type $event $(, $written)?)),+
                }
            }
            fn data_subject(&self) -> Option<$crate::codec::DataSubject> {
                match self { $(Self::$variant(event) => $crate::codec::Published::data_subject(event)),+ }
            }
            fn to_json(&self) -> Result<$crate::codec::Json, $crate::codec::JsonError> {
                match self {
                    $(Self::$variant(event) => $crate::event_set!(@to_json event $(, $written)?)),+
                }
            }
            fn from_json(
                event_type: &str,
                data: $crate::codec::Json,
            ) -> Result<Option<Self>, $crate::codec::JsonError> {
                $(if $crate::codec::reads::<$event>(event_type) {
                    let event = $crate::codec::read::<$event>(event_type, data)?;
                    return Ok(event.map(Self::$variant));
                })+
                Ok(None)
            }
        }

        $(impl From<$event> for $name {
            fn from(event: $event) -> Self { Self::$variant(event) }
        })+
    };

    (@type $event:ty) => { <$event as $crate::codec::Published>::TYPE };
    (@type $event:ty, $written:ty) => { <$written as $crate::codec::Published>::TYPE };

    (@to_json $value:ident) => { $crate::codec::to_json($value) };
    (@to_json $value:ident, $written:ty) => {
        $crate::codec::to_json(<$written as From<_>>::from($value.clone()))
    };
}
