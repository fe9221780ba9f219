//! The orders module (being written).
pub mod domain;
