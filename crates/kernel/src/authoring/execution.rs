//! Load, decide, append: executes a command on an aggregate, with a bounded number of retries after
//! write conflicts.

mod cause;
mod environment;
mod executed;
mod executing;
mod expected;
mod failure;
mod loaded;
mod loading;
mod shared;
mod snapshots;
mod unit;

pub use self::cause::{Cause, ORIGIN};
pub use self::environment::Environment;
pub use self::executed::{CarriedOut, Executed};
pub use self::executing::Attempt;
pub use self::expected::ExpectedAt;
pub use self::failure::{ExecuteError, LoadError};
pub use self::loaded::Loaded;
pub use self::shared::SharedOutcome;
pub use self::unit::{Committed, UnitOfWork};
