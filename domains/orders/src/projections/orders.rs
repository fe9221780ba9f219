//! The order views: every order as the API shows it.

use std::collections::HashMap;

use customers_contract::CustomerErased;
use database::{Database, DatabaseError, Transaction};
use kernel::codec::{Either, Envelope};
use kernel::event::Position;
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;
use orders_contract::OrderId;

use crate::domain::Event;
use crate::erasure::ErasureEvent;
use crate::queries::orders::{self, ViewRow};
use crate::view::{OrderStatus, OrderView};

/// Folds the events of orders into the table `order_view`. This projection also removes the free text of
/// an erased customer's orders, so that the removal has its place in the sequence of their events.
#[derive(Debug, Clone, Copy)]
pub struct OrderViews;

impl Projection for OrderViews {
    type Store = Database;
    type Event = Either<Event, ErasureEvent>;

    const NAME: &'static str = "orders.orders";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["order_view", "erased_customer"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Self::Event>,
    ) -> Result<(), BoxError> {
        self.project_all(transaction, &[event]).await
    }

    async fn project_all(
        &self,
        transaction: &mut Transaction,
        mut events: &[&Envelope<Self::Event>],
    ) -> Result<(), BoxError> {
        // An erasure changes rows of all orders of the customer: the events before it are written first.
        while let Some(at) = events.iter().position(|event| erased(event).is_some()) {
            let (before, [erasure, after @ ..]) = events.split_at(at) else { break };
            Batch::fold(transaction, before).await?;
            if let Some(customer) = erased(erasure) {
                orders::remove_free_text(transaction, customer.customer_id).await?;
            }
            events = after;
        }
        Batch::fold(transaction, events).await
    }
}

fn erased(event: &Envelope<Either<Event, ErasureEvent>>) -> Option<&CustomerErased> {
    match &event.event {
        Either::Left(_) => None,
        Either::Right(ErasureEvent::Erased(customer)) => Some(customer),
    }
}

/// The orders of a batch of events: read with one query, changed by one event after another, and written
/// with one statement.
#[derive(Default)]
struct Batch {
    /// Orders that begin in the batch.
    new: HashMap<OrderId, ViewRow>,
    /// Orders that existed before the batch.
    known: HashMap<OrderId, ViewRow>,
}

impl Batch {
    async fn fold(
        transaction: &mut Transaction,
        events: &[&Envelope<Either<Event, ErasureEvent>>],
    ) -> Result<(), BoxError> {
        let mut batch = Self::load(transaction, events).await?;
        for event in events {
            if let Either::Left(happened) = &event.event {
                batch.apply(happened, event)?;
            }
        }
        batch.save(transaction).await?;
        Ok(())
    }

    /// Reads the existing orders that the events change.
    async fn load(
        transaction: &mut Transaction,
        events: &[&Envelope<Either<Event, ErasureEvent>>],
    ) -> Result<Self, DatabaseError> {
        let changed: Vec<OrderId> = events
            .iter()
            .filter_map(|event| match &event.event {
                Either::Left(happened) => changed_order(happened),
                Either::Right(_) => None,
            })
            .collect();
        if changed.is_empty() {
            return Ok(Self::default());
        }
        let known = orders::rows_of(transaction, &changed).await?;
        let known = known.into_iter().map(|row| (row.view.id, row)).collect();
        Ok(Self { known, ..Self::default() })
    }

    fn apply(
        &mut self,
        happened: &Event,
        event: &Envelope<Either<Event, ErasureEvent>>,
    ) -> Result<(), BoxError> {
        let revision = event.recorded.revision;
        let occurred_at = event.recorded.metadata.occurred_at;
        let position = event.recorded.position;
        match happened {
            Event::Placed(placed) => {
                self.add(OrderView::placed(placed, occurred_at, revision), position)
            }
            Event::Imported(imported) => {
                self.add(OrderView::imported(imported, occurred_at, revision), position)
            }
            Event::Confirmed(confirmed) => self.change(confirmed.order_id, |view| OrderView {
                status: OrderStatus::Confirmed,
                revision,
                ..view
            }),
            Event::Fulfilled(fulfilled) => self.change(fulfilled.order_id, |view| OrderView {
                status: OrderStatus::Fulfilled,
                revision,
                ..view
            }),
            Event::PaymentDeferred(deferred) => {
                self.change(deferred.order_id, |view| OrderView { revision, ..view })
            }
            Event::Returned(returned) => self.change(returned.order_id, |view| OrderView {
                revision,
                ..view.returned(returned)
            }),
            Event::Cancelled(cancelled) => self.change(cancelled.order_id, |view| OrderView {
                status: OrderStatus::Cancelled,
                cancellation: Some((&cancelled.reason).into()),
                revision,
                ..view
            }),
            Event::Revised(revised) => self.change(revised.order_id, |view| {
                let placed_at = view.placed_at;
                OrderView::of_legacy(view.id, &revised.legacy, &revised.state, placed_at, revision)
            }),
        }
    }

    fn add(&mut self, view: OrderView, position: Position) -> Result<(), BoxError> {
        let id = view.id;
        let row = ViewRow { view, position: position.cast_signed() };
        match self.new.insert(id, row) {
            None => Ok(()),
            Some(_) => Err(format!("the order {id} has two first events").into()),
        }
    }

    fn change(
        &mut self,
        id: OrderId,
        change: impl FnOnce(OrderView) -> OrderView,
    ) -> Result<(), BoxError> {
        let row = self.new.get_mut(&id).or_else(|| self.known.get_mut(&id));
        let row = row.ok_or(Unknown { what: "order", id: id.as_uuid() })?;
        row.view = change(row.view.clone());
        Ok(())
    }

    async fn save(self, transaction: &mut Transaction) -> Result<(), DatabaseError> {
        orders::insert(transaction, self.new.into_values().collect()).await?;
        orders::update(transaction, self.known.into_values().collect()).await
    }
}

/// Returns the order that an event changes, or `None` if the event begins an order.
fn changed_order(event: &Event) -> Option<OrderId> {
    match event {
        Event::Placed(_) | Event::Imported(_) => None,
        Event::Confirmed(confirmed) => Some(confirmed.order_id),
        Event::Fulfilled(fulfilled) => Some(fulfilled.order_id),
        Event::PaymentDeferred(deferred) => Some(deferred.order_id),
        Event::Returned(returned) => Some(returned.order_id),
        Event::Cancelled(cancelled) => Some(cancelled.order_id),
        Event::Revised(revised) => Some(revised.order_id),
    }
}
