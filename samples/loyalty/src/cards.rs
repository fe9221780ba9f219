//! The read model: a document per card.

use database::documents::DocumentModel;
use kernel::codec::Envelope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::Event;

/// A customer's card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardView {
    /// The customer.
    pub customer_id: Uuid,
    /// How many points there are.
    pub points: u32,
    /// Of how many orders they are.
    pub orders: u32,
}

/// The cards.
#[derive(Debug, Clone, Copy)]
pub struct Cards;

impl DocumentModel for Cards {
    type Event = Event;
    type Document = CardView;

    const NAME: &'static str = "loyalty.cards";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["card"];
    const FOUND_BY: &'static [&'static str] = &[];

    fn id(event: &Event) -> Uuid {
        match event {
            Event::Earned(earned) => earned.customer_id,
            Event::Spent(spent) => spent.customer_id,
        }
    }

    fn apply(card: Option<CardView>, event: &Envelope<Event>) -> Option<CardView> {
        let customer_id = Self::id(&event.event);
        let mut card = card.unwrap_or(CardView { customer_id, points: 0, orders: 0 });
        match &event.event {
            Event::Earned(earned) => {
                card.points += earned.points;
                card.orders += 1;
            }
            Event::Spent(spent) => card.points -= spent.points,
        }
        Some(card)
    }

    fn found_by(_: &CardView) -> Vec<Option<String>> {
        Vec::new()
    }
}
