//! Types of fields that several requests share.

use customers_contract::Address;
use serde::Deserialize;
use utoipa::ToSchema;
use web_api::{CountryCode, Line};

/// A postal address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPostalAddress)]
pub(super) struct NewAddress {
    /// Street and number.
    line1: Line<200>,
    /// Additional address line.
    line2: Option<Line<200>>,
    /// Postal code.
    postal_code: Line<16>,
    /// Town.
    city: Line<100>,
    /// ISO 3166-1 alpha-2 country code. Whether the code is assigned is not checked.
    country: CountryCode,
}

impl From<NewAddress> for Address {
    fn from(address: NewAddress) -> Self {
        let NewAddress { line1, line2, postal_code, city, country } = address;
        Self {
            line1: line1.into_inner(),
            line2: line2.map(Line::into_inner),
            postal_code: Some(postal_code.into_inner()),
            city: Some(city.into_inner()),
            country: Some(country.into_inner()),
        }
    }
}
