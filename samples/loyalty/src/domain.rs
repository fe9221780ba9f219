//! The card of a customer: orders earn points, and the customer spends them.

use kernel::decider::{Context, Decider};
use loyalty_contract::{CardId, PointsEarned, PointsSpent};
use uuid::Uuid;

kernel::event_set! {
    /// Events of a card.
    pub enum Event { Earned(PointsEarned), Spent(PointsSpent) }
}

/// State of a card. Every customer has a card, at first without points.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    points: u32,
    orders: Vec<Uuid>,
}

/// Commands on a card.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds the points of an order, once per order.
    Earn(PointsEarned),
    /// Removes points.
    Spend(PointsSpent),
}

/// Reasons to refuse a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The card has fewer points.
    #[error("the card has {0} points")]
    TooFewPoints(u32),
}

/// The decider of cards.
#[derive(Debug)]
pub struct CardDecider;

impl Decider for CardDecider {
    const CATEGORY: &'static str = "card";
    type Id = CardId;
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

    const CARD: CardId = CardId::from_u128(1);

    fn earned(order_id: Uuid, points: u32) -> PointsEarned {
        PointsEarned { card_id: CARD, order_id, points }
    }

    fn spent(points: u32) -> PointsSpent {
        PointsSpent { card_id: CARD, points }
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
