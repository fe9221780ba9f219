//! The quantity of one line, in requests.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::decimal::PositiveDecimal;

/// A quantity of one of the lines of an order or an invoice.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantityOfLine {
    /// The line's number, from 1.
    #[validate(range(min = 1, max = 200))]
    #[schema(minimum = 1, maximum = 200, example = 1)]
    pub line: u32,
    /// The quantity: greater than zero, at most 6 decimals.
    pub quantity: PositiveDecimal,
}
