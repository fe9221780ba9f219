//! The SQL that reads and writes the module's read models.

mod known_customers;
mod orders;

pub use known_customers::{
    KNOWN_CUSTOMER_STATEMENTS, change_customer, customer_is_open, remember_customer,
};
pub use orders::{
    LISTS, ORDER_STATEMENTS, OrderFilter, ViewRow, insert_orders, order, orders, orders_of,
    rows_of, silence_orders, update_orders,
};
