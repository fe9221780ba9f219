//! The position of a subscription, stored where its effects are stored, and who may move it.

mod parked;
mod place;
mod port;

pub use self::parked::ParkedEvent;
pub use self::place::Checkpoint;
pub use self::port::{CheckpointError, Registration, SubscriptionStatus, SubscriptionStore};
