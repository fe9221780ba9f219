//! Tuples of deciders, imports, projections and reactions. Their types describe a module, and their
//! values run it.

use database::Database;
use database::read_model::ReadModel;
use kernel::decider::Decider;
use kernel::execution::Environment;
use kernel::projection::{Progress, Projection, ProjectionRunner};
use kernel::reaction::{Reaction, ReactionRunner};
use kernel::subscription::{Identity, Subscription};
use kernel::sync::{LegacyAggregate, StatedCommand};

use crate::streams::StreamCategory;

/// A tuple of types that implement [`Decider`].
pub trait DeciderList: Send + Sync + 'static {
    /// Returns the categories of the streams that the deciders write.
    fn categories() -> Vec<StreamCategory>;
}

/// A tuple of types that implement [`LegacyAggregate`].
pub trait ImportList: Send + Sync + 'static {
    /// Returns the `Sync…` commands of the aggregates.
    fn commands() -> Vec<StatedCommand>;
}

/// A tuple of types that implement [`Projection`].
pub trait ProjectionList: Send + Sync + 'static {
    /// The same tuple with each projection ready to run.
    type Ready: Send;

    /// Returns the identity of each.
    fn identities() -> Vec<Identity>;

    /// Returns the tables of all projections.
    fn tables() -> Vec<&'static str>;

    /// Returns the projections without their types.
    fn erased(ready: Self::Ready) -> Vec<AnyProjecting>;
}

/// A tuple of types that implement [`Reaction`].
pub trait ReactionList: Send + Sync + 'static {
    /// Returns the identity of each.
    fn identities() -> Vec<Identity>;

    /// Returns a runner for each reaction.
    fn runners(self, environment: &Environment, database: &Database) -> Vec<Box<dyn Subscription>>;
}

/// A projection that is ready to run.
pub struct Projecting<P: Projection> {
    runner: ProjectionRunner<P>,
    progress: Progress,
    read_model: ReadModel,
}

impl<P: Projection<Store = Database> + Clone> Projecting<P> {
    pub(crate) fn new(projection: P, environment: &Environment, database: &Database) -> Self {
        let read_model = ReadModel::new(projection.clone(), environment, database);
        let (runner, progress) =
            ProjectionRunner::new(projection, environment.clone(), database.clone());
        Self { runner, progress, read_model }
    }
}

impl<P: Projection> Projecting<P> {
    /// Returns the progress of the read model.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

/// A [`Projecting`] without its type.
pub struct AnyProjecting {
    pub(crate) name: &'static str,
    pub(crate) runner: Box<dyn Subscription>,
    pub(crate) progress: Progress,
    pub(crate) read_model: ReadModel,
}

impl<P: Projection> From<Projecting<P>> for AnyProjecting {
    fn from(projecting: Projecting<P>) -> Self {
        let Projecting { runner, progress, read_model } = projecting;
        Self { name: P::NAME, runner: Box::new(runner), progress, read_model }
    }
}

macro_rules! lists {
    ($($item:ident)*) => {
        impl<$($item: Decider),*> DeciderList for ($($item,)*) {
            fn categories() -> Vec<StreamCategory> {
                vec![$(StreamCategory::of::<$item>()),*]
            }
        }

        impl<$($item: LegacyAggregate),*> ImportList for ($($item,)*) {
            fn commands() -> Vec<StatedCommand> {
                vec![$(StatedCommand::of::<$item>()),*]
            }
        }

        impl<$($item: Projection<Store = Database> + Clone),*> ProjectionList for ($($item,)*) {
            type Ready = ($(Projecting<$item>,)*);

            fn identities() -> Vec<Identity> {
                vec![$(Identity::of_projection::<$item>()),*]
            }

            fn tables() -> Vec<&'static str> {
                let tables: &[&[&'static str]] = &[$($item::TABLES),*];
                tables.concat()
            }

            #[allow(non_snake_case, reason = "each value is named as its type")]
            fn erased(($($item,)*): Self::Ready) -> Vec<AnyProjecting> {
                vec![$($item.into()),*]
            }
        }

        impl<$($item: Reaction),*> ReactionList for ($($item,)*) {
            fn identities() -> Vec<Identity> {
                vec![$(Identity::of_reaction::<$item>()),*]
            }

            #[allow(non_snake_case, reason = "each value is named as its type")]
            #[allow(unused_variables, reason = "the empty tuple runs nothing")]
            fn runners(
                self,
                environment: &Environment,
                database: &Database,
            ) -> Vec<Box<dyn Subscription>> {
                let ($($item,)*) = self;
                vec![$(
                    Box::new(ReactionRunner::new($item, environment.clone(), database.clone()))
                ),*]
            }
        }
    };
}

lists!();
lists!(A);
lists!(A B);
lists!(A B C);
lists!(A B C D);
lists!(A B C D E);
lists!(A B C D E F);
lists!(A B C D E F G);
lists!(A B C D E F G H);
