//! The SQL that reads and writes the module's read models.

mod known_customers;
mod orders;

pub use known_customers::{
    KNOWN_CUSTOMER_STATEMENTS, change_customer, customer_is_open, insert_customer,
};
pub use orders::{
    LISTS, ORDER_STATEMENTS, OrderFilter, ViewRow, insert_orders, order, orders, orders_of,
    remove_free_text, rows_of, update_orders,
};
