//! The read model: a document per card.

use database::documents::DocumentModel;
use kernel::codec::Envelope;
use loyalty_contract::CardId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::Event;

/// A customer's card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Card)]
pub struct CardView {
    /// Id of the card and of its customer.
    #[schema(value_type = Uuid)]
    pub id: CardId,
    /// Number of points on the card.
    pub points: u32,
    /// Number of orders that earned points.
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
        card_of(event).as_uuid()
    }

    fn apply(card: Option<CardView>, event: &Envelope<Event>) -> Option<CardView> {
        let id = card_of(&event.event);
        let mut card = card.unwrap_or(CardView { id, points: 0, orders: 0 });
        match &event.event {
            Event::Earned(earned) => {
                card.points = card.points.saturating_add(earned.points);
                card.orders += 1;
            }
            Event::Spent(spent) => card.points = card.points.saturating_sub(spent.points),
        }
        Some(card)
    }

    fn found_by(_: &CardView) -> Vec<Option<String>> {
        Vec::new()
    }
}

fn card_of(event: &Event) -> CardId {
    match event {
        Event::Earned(earned) => earned.card_id,
        Event::Spent(spent) => spent.card_id,
    }
}
