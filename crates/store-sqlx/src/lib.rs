//! store-sqlx.
