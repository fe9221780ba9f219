//! A small legacy of parties, sales and lines, and the feed of what changes in it.

use serde_json::{Value, json};

use super::super::*;
use super::harness::*;

pub(super) const MAPPING: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
party = { keep = ["name"], hash = ["vat"] }
sale = { keep = ["party", "state", "note"] }
line = { keep = ["sale", "qty", "unit"], types = { qty = "decimal" } }
unit = { keep = ["name"] }
[aggregates.customer]
root = "party"
command = "customers.SyncCustomer"
[aggregates.customer.jq]
program = '{name, vat}'
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"party" = { one = "party", ref = "party", required = true }
"lines" = { many = "line", fk = "sale" }
"lines.unit" = { one = "unit", ref = "unit", follow = false }
[aggregates.order.jq]
program = '''
if .state == "draft" then {absent: "state draft"}
elif .state == "odd" then error("an odd sale of \(.party.name)")
else {state, note, who: .party.name, customer_id: (.party.id | uid("party")),
      lines: [.lines[] | {qty, unit: .unit.name, noisy: (.qty | dec_scale > 6)}]} end
'''
"#;

/// A feed being written. Positions count up.
#[derive(Default)]
pub(super) struct Shop {
    pub(super) lines: Vec<String>,
    pub(super) position: i64,
    pub(super) transaction: i64,
    pub(super) snapshot: Option<&'static str>,
}

impl Shop {
    pub(super) fn begin(&mut self) -> &mut Self {
        self.transaction += 1;
        self
    }

    pub(super) fn record(&mut self, op: &str, table: &str, id: i64, after: Value) -> &mut Self {
        self.position += 1;
        let mut after = after;
        if after.is_object() {
            after["id"] = json!(id);
            after["secret"] = json!("dropped-value-0815");
        }
        let source = json!({"lsn": self.position, "txId": self.transaction, "snapshot": self.snapshot.unwrap_or("false"), "ts_ms": 1_760_000_000_000_i64 + self.position});
        let value = json!({"op": op, "before": null, "after": after, "source": source});
        let line =
            json!({"topic": format!("shop.public.{table}"), "key": {"id": id}, "value": value});
        self.lines.push(line.to_string());
        self
    }

    pub(super) fn put(&mut self, table: &str, id: i64, after: Value) -> &mut Self {
        self.record("u", table, id, after)
    }

    pub(super) fn delete(&mut self, table: &str, id: i64) -> &mut Self {
        self.record("d", table, id, Value::Null)
    }

    pub(super) fn party(&mut self, id: i64, name: &str) -> &mut Self {
        self.put("party", id, json!({"name": name, "vat": "FR-hashed-4711"}))
    }

    pub(super) fn sale(&mut self, id: i64, state: &str) -> &mut Self {
        self.put("sale", id, json!({"party": 1, "state": state, "note": "n"}))
    }

    pub(super) fn line(&mut self, id: i64, sale: i64, qty: f64) -> &mut Self {
        self.put("line", id, json!({"sale": sale, "qty": qty, "unit": 1}))
    }

    /// A party, a unit and a sale with one line.
    pub(super) fn open() -> Self {
        let mut shop = Self::default();
        shop.begin()
            .put("unit", 1, json!({"name": "piece"}))
            .party(1, "Ada")
            .sale(1, "open")
            .line(1, 1, 2.0);
        shop
    }

    pub(super) async fn import(&self, world: &World) -> Summary {
        world.run(&[&world.write("feed.jsonl", &self.lines)]).await
    }
}
