//! Every order, as the API shows it.

use async_trait::async_trait;
use customers_contract::CustomerErased;
use database::{Database, Transaction};
use kernel::codec::{Either, Envelope};
use kernel::projection::{Projection, Unknown};
use kernel::store::BoxError;
use orders_contract::OrderId;

use crate::domain::Event;
use crate::queries;
use crate::view::{OrderStatus, OrderView};

kernel::event_set! {
    /// Whose orders no longer show what was said in them.
    pub enum Erasure { Erased(CustomerErased) }
}

/// Keeps the view of every order. What people said in the orders of an erased customer is taken out
/// of it in this projection, in order with everything else that happens to them.
#[derive(Debug, Clone, Copy)]
pub struct OrderViews;

#[async_trait]
impl Projection for OrderViews {
    type Store = Database;
    type Event = Either<Event, Erasure>;

    fn name(&self) -> &'static str {
        "orders.orders"
    }

    fn version(&self) -> u32 {
        1
    }

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Either<Event, Erasure>>,
    ) -> Result<(), BoxError> {
        let revision = event.recorded.revision;
        let began = event.recorded.metadata.occurred_at;
        let position = event.recorded.position;
        let happened = match &event.event {
            Either::Left(happened) => happened,
            Either::Right(Erasure::Erased(customer)) => {
                return Ok(queries::silence_orders(transaction, customer.customer_id).await?);
            }
        };
        match happened {
            Event::Placed(placed) => {
                let view = OrderView::placed(placed, began, revision);
                Ok(queries::insert_order(transaction, view, position).await?)
            }
            Event::Imported(imported) => {
                let view = OrderView::imported(imported, began, revision);
                Ok(queries::insert_order(transaction, view, position).await?)
            }
            Event::Confirmed(confirmed) => {
                change(transaction, confirmed.order_id, |view| OrderView {
                    status: OrderStatus::Confirmed,
                    revision,
                    ..view
                })
                .await
            }
            Event::Fulfilled(fulfilled) => {
                change(transaction, fulfilled.order_id, |view| OrderView {
                    status: OrderStatus::Fulfilled,
                    revision,
                    ..view
                })
                .await
            }
            Event::Cancelled(cancelled) => {
                change(transaction, cancelled.order_id, |view| OrderView {
                    status: OrderStatus::Cancelled,
                    cancellation: Some((&cancelled.reason).into()),
                    revision,
                    ..view
                })
                .await
            }
            Event::Revised(revised) => {
                change(transaction, revised.order_id, |view| {
                    let began = view.placed_at;
                    OrderView::of_legacy(view.id, &revised.legacy, &revised.state, began, revision)
                })
                .await
            }
        }
    }
}

async fn change(
    transaction: &mut Transaction,
    id: OrderId,
    change: impl FnOnce(OrderView) -> OrderView + Send,
) -> Result<(), BoxError> {
    let view = queries::order(&mut *transaction, id).await?.ok_or(Unknown { what: "order", id })?;
    queries::update_order(transaction, change(view)).await?;
    Ok(())
}
