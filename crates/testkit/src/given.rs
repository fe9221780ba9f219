//! Given what has happened, when something is asked, then this happens: how deciders are tested.
//!
//! ```
//! # use kernel::decider::{Context, Decider};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Debug, Clone, Serialize, Deserialize)] pub struct LampLit {}
//! # event_contract::published! { "house.LampLit.v1": LampLit; }
//! # kernel::event_set! { pub enum Event { Lit(LampLit) } }
//! # #[derive(Debug, Clone, PartialEq, thiserror::Error)]
//! # enum Refusal { #[error("the lamp is lit")] Lit }
//! # #[derive(Debug, Clone)] struct Light;
//! # struct LampDecider;
//! # impl Decider for LampDecider {
//! #     const CATEGORY: &'static str = "lamp"; type Id = uuid::Uuid;
//! #     type State = bool; type Command = Light; type Event = Event; type Refusal = Refusal;
//! #     fn decide(lit: &bool, _: Light, _: &Context) -> Result<Vec<Event>, Refusal> {
//! #         if *lit { Err(Refusal::Lit) } else { Ok(vec![LampLit {}.into()]) }
//! #     }
//! #     fn evolve(_: bool, _: &Event) -> bool { true }
//! # }
//! use testkit::given;
//!
//! given::<LampDecider>([]).when(Light).then([LampLit {}.into()]);
//! given::<LampDecider>([LampLit {}.into()]).when(Light).refuses(&Refusal::Lit);
//! ```

use chrono::{DateTime, Utc};
use kernel::codec::EventSet;
use kernel::decider::{Context, Decider};
use serde_json::Value;

/// When decisions are made unless a test says otherwise.
const NOW: &str = "2026-03-01T12:00:00Z";

/// An aggregate with a history.
pub struct Given<D: Decider> {
    state: D::State,
    now: DateTime<Utc>,
}

/// What came of a command.
pub struct When<D: Decider> {
    state: D::State,
    outcome: Result<Vec<D::Event>, D::Refusal>,
}

/// An aggregate to which these events have happened, in this order.
pub fn given<D: Decider>(history: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let state =
        history.into_iter().fold(D::State::default(), |state, event| D::evolve(state, &event));
    Given { state, now: NOW.parse().unwrap() }
}

impl<D: Decider> Given<D> {
    /// The same at another time, such as `2026-03-01T12:00:00Z`.
    #[must_use]
    pub fn at(self, now: &str) -> Self {
        Self { now: now.parse().unwrap(), ..self }
    }

    /// Returns the state.
    pub fn state(&self) -> &D::State {
        &self.state
    }

    /// Decides on a command.
    pub fn when(self, command: D::Command) -> When<D> {
        let outcome = D::decide(&self.state, command, &Context { now: self.now });
        When { state: self.state, outcome }
    }
}

impl<D: Decider> When<D> {
    /// Checks that these events happen, in this order. Returns the aggregate after them.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) -> Given<D> {
        let events = match self.outcome {
            Ok(events) => events,
            Err(refusal) => panic!("it was refused: {refusal}"),
        };
        let expected: Vec<D::Event> = expected.into_iter().collect();
        assert_eq!(stored(&events), stored(&expected));
        let state = events.iter().fold(self.state, |state, event| D::evolve(state, event));
        Given { state, now: NOW.parse().unwrap() }
    }

    /// Checks that nothing happens, because nothing needs to.
    #[track_caller]
    pub fn changes_nothing(self) -> Given<D> {
        self.then([])
    }

    /// Checks that the command is refused.
    #[track_caller]
    pub fn refuses(self, expected: &D::Refusal) {
        match self.outcome {
            Ok(events) => panic!("it was not refused: {:?}", stored(&events)),
            Err(refusal) => assert!(refusal == *expected, "{refusal:?} is not {expected:?}"),
        }
    }

    /// Returns the only event, for checks of a part of it.
    #[track_caller]
    pub fn event(self) -> D::Event {
        match self.outcome {
            Ok(mut events) if events.len() == 1 => events.remove(0),
            Ok(events) => panic!("it was not one event: {:?}", stored(&events)),
            Err(refusal) => panic!("it was refused: {refusal}"),
        }
    }

    /// Returns the events or the refusal, for what the other checks cannot say.
    pub fn outcome(self) -> Result<Vec<D::Event>, D::Refusal> {
        self.outcome
    }
}

/// Events as they are stored: what two events differ in shows.
fn stored<E: EventSet>(events: &[E]) -> Vec<(&'static str, Value)> {
    events.iter().map(|event| (event.event_type(), event.to_json().unwrap())).collect()
}
