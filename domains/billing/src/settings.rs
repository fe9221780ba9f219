//! The section of billing in the configuration.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// The settings of the billing module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BillingSettings {
    /// IANA time zone of the company's seat, such as `Europe/Paris`. It determines the day of issue of
    /// a document and, at the turn of the year, its series.
    #[serde(with = "zone_by_name")]
    pub time_zone: Tz,
    /// Number of years after the year of issue for which a document of an erased customer is kept
    /// unchanged: ten under the French Code de commerce, article L123-22.
    pub retention_years: u16,
}

impl Default for BillingSettings {
    fn default() -> Self {
        Self { time_zone: chrono_tz::Europe::Paris, retention_years: 10 }
    }
}

impl BillingSettings {
    /// Returns the day at the company's seat.
    pub(crate) fn day_of(&self, moment: DateTime<Utc>) -> NaiveDate {
        moment.with_timezone(&self.time_zone).date_naive()
    }
}

mod zone_by_name {
    use chrono_tz::Tz;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| {
            let expected = "expected an IANA time zone such as Europe/Paris";
            D::Error::custom(format!("`{name}` is not a time zone: {expected}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_day_is_that_of_the_seat() {
        let moment = "2026-12-31T23:30:00Z".parse().unwrap();
        let day = |settings: BillingSettings| settings.day_of(moment).to_string();
        assert_eq!(day(BillingSettings::default()), "2027-01-01");
        let utc = serde_json::from_value(json!({ "time_zone": "UTC" })).unwrap();
        assert_eq!(day(utc), "2026-12-31");
    }

    #[test]
    fn settings_read_what_they_write_and_refuse_what_is_no_time_zone() {
        let written = serde_json::to_value(BillingSettings::default()).unwrap();
        assert_eq!(written, json!({ "time_zone": "Europe/Paris", "retention_years": 10 }));
        assert_eq!(
            serde_json::from_value::<BillingSettings>(written).unwrap(),
            BillingSettings::default()
        );
        let refused = serde_json::from_value::<BillingSettings>(json!({ "time_zone": "Paris" }));
        assert!(refused.unwrap_err().to_string().contains("`Paris` is not a time zone"));
        assert!(serde_json::from_value::<BillingSettings>(json!({ "zone": "UTC" })).is_err());
    }
}
