//! The ids of imported aggregates.

use uuid::{Uuid, uuid};

/// The namespace of all legacy ids: UUIDv5 (RFC 9562) of the URL
/// `https://bascule.dev/ns/legacy` in the URL namespace. It must never change: every id of an
/// imported aggregate derives from it.
pub const LEGACY_NAMESPACE: Uuid = uuid!("15f9a3f1-fbdf-5872-b7fc-5573fceddd2b");

/// Returns the id of the aggregate whose root row is `key` of `table` in `source`: UUIDv5 of the text
/// `<source>/<table>/<key>` in [`LEGACY_NAMESPACE`].
pub fn aggregate_id(source: &str, table: &str, key: &str) -> Uuid {
    Uuid::new_v5(&LEGACY_NAMESPACE, format!("{source}/{table}/{key}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_change() {
        let derived = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"https://bascule.dev/ns/legacy");
        assert_eq!(LEGACY_NAMESPACE, derived);
        assert_eq!(
            aggregate_id("tryton", "sale_sale", "17").to_string(),
            "539b2ed1-685c-5d38-a851-43ab9ec5df46"
        );
    }
}
