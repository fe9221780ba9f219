//! A customer's card: points earned by orders, and spent.

use kernel::decider::{Context, Decider};
use loyalty_contract::{PointsEarned, PointsSpent};
use uuid::Uuid;

kernel::event_set! {
    /// What happens to a card.
    pub enum Event { Earned(PointsEarned), Spent(PointsSpent) }
}

/// What a card is: it exists for every customer, without points at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    points: u32,
    orders: Vec<Uuid>,
}

/// What can be asked of a card.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// An order was placed.
    Earn(PointsEarned),
    /// The customer buys something with points.
    Spend(PointsSpent),
}

/// Why a card refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There are fewer points.
    #[error("the card has {0} points")]
    TooFewPoints(u32),
}

/// Decides on cards.
#[derive(Debug)]
pub struct CardDecider;

impl Decider for CardDecider {
    const CATEGORY: &'static str = "card";
    type State = Card;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(card: &Card, command: Command, _: &Context) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Earn(earned) => Ok(earn(card, earned)),
            Command::Spend(spent) => spend(card, spent),
        }
    }

    fn evolve(mut card: Card, event: &Event) -> Card {
        match event {
            Event::Earned(earned) => {
                card.points = card.points.saturating_add(earned.points);
                card.orders.push(earned.order_id);
            }
            Event::Spent(spent) => card.points = card.points.saturating_sub(spent.points),
        }
        card
    }
}

fn earn(card: &Card, earned: PointsEarned) -> Vec<Event> {
    match earned.points > 0 && !card.orders.contains(&earned.order_id) {
        true => vec![earned.into()],
        false => Vec::new(),
    }
}

fn spend(card: &Card, spent: PointsSpent) -> Result<Vec<Event>, Refusal> {
    match spent.points <= card.points {
        true => Ok(vec![spent.into()]),
        false => Err(Refusal::TooFewPoints(card.points)),
    }
}
