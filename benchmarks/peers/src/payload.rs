//! The event that every peer appends.

use uuid::Uuid;

/// One event's JSON, 300 bytes.
pub fn event() -> String {
    format!(
        r#"{{"order_id":"{}","customer":"c-123456","amount":1234,"currency":"EUR","lines":[{{"sku":"ABC-1","qty":2}},{{"sku":"ABC-2","qty":1}}],"note":"{:x<128}"}}"#,
        Uuid::new_v4(),
        "payload "
    )
}
