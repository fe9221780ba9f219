//! The statements over the module's read models, one file per engine.

mod sqlite;

pub use sqlite::{
    OrderFilter, STATEMENTS, change_customer, customer_is_open, insert_order, order, orders,
    remember_customer, update_order,
};
