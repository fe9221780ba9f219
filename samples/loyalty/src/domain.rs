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
    type Id = Uuid;
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

#[cfg(test)]
mod tests {
    use testkit::given;

    use super::*;

    fn earned(order_id: Uuid, points: u32) -> PointsEarned {
        PointsEarned { customer_id: Uuid::nil(), order_id, points }
    }

    fn spent(points: u32) -> PointsSpent {
        PointsSpent { customer_id: Uuid::nil(), points }
    }

    #[test]
    fn an_order_earns_points_once() {
        let order = Uuid::from_u128(1);
        given::<CardDecider>([])
            .when(Command::Earn(earned(order, 119)))
            .then([earned(order, 119).into()])
            .when(Command::Earn(earned(order, 119)))
            .changes_nothing();
    }

    #[test]
    fn an_order_of_less_than_a_point_earns_nothing() {
        given::<CardDecider>([])
            .when(Command::Earn(earned(Uuid::from_u128(1), 0)))
            .changes_nothing();
    }

    #[test]
    fn points_are_spent_while_there_are_enough() {
        let earned = earned(Uuid::from_u128(1), 119);
        given::<CardDecider>([earned.into()])
            .when(Command::Spend(spent(100)))
            .then([spent(100).into()])
            .when(Command::Spend(spent(20)))
            .refuses(&Refusal::TooFewPoints(19));
    }
}
