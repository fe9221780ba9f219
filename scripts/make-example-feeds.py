#!/usr/bin/env python3
"""Writes the feeds of docs/examples/gescom and docs/examples/boutique, and what bascule should make of
them: feed.jsonl and expected.json.

Both are generated from the same facts, independently of the mapping: the feed has a fact in the form of
the legacy system (padded, in centimes, in the wrong character set), expected.json in its meaning.

  scripts/make-example-feeds.py [FOLDER]      default: docs/examples
"""

import json
import sys
import uuid
from pathlib import Path

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://bascule.dev/ns/legacy")


class Feed:
    """Change events as Debezium's PostgreSQL connector writes them."""

    def __init__(self, source, prefix):
        self.source, self.prefix = source, prefix
        self.lines, self.lsn, self.transaction = [], 1000, 1

    def record(self, op, table, key, after, snapshot="false"):
        self.lsn += 10
        place = {"version": "3.0", "connector": "postgresql", "name": "legacy", "db": "legacy",
                 "schema": "public", "table": table, "ts_ms": 1230000000000 + self.lsn,
                 "snapshot": snapshot, "txId": self.transaction, "lsn": self.lsn}
        value = {"before": None, "after": after, "source": place, "op": op, "ts_ms": place["ts_ms"]}
        self.lines.append({"topic": self.prefix + table, "key": key, "value": value})

    def snapshot(self, rows):
        for number, (table, keys, row) in enumerate(rows):
            mark = "first" if number == 0 else "last" if number == len(rows) - 1 else "true"
            self.record("r", table, {key: row[key] for key in keys}, row, mark)

    def commit(self, *changes):
        self.transaction += 1
        for op, table, keys, row in changes:
            key = {key: row[key] for key in keys}
            self.record(op, table, key, None if op == "d" else row)
            if op == "d":
                self.lines.append({"topic": self.prefix + table, "key": key, "value": None})

    def uid(self, table, *key):
        text = str(key[0]) if len(key) == 1 else json.dumps([str(part) for part in key],
                                                            separators=(",", ":"), ensure_ascii=False)
        return str(uuid.uuid5(NAMESPACE, f"{self.source}/{table}/{text}"))


def write(folder, feed, expected):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(line, ensure_ascii=False) for line in feed.lines]
    (folder / "feed.jsonl").write_text("\n".join(lines) + "\n")
    text = json.dumps(expected, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "expected.json").write_text(text + "\n")


def euros(cents):
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def gescom(folder):
    feed = Feed("gescom", "gescom.public.")
    rows = []
    held = {name: {} for name in ("customers.SyncCustomer", "orders.SyncOrder",
                                  "billing.SyncInvoice", "payments.SyncPayment")}
    pad = lambda text, width: text.ljust(width)
    misread = lambda text: text.encode().decode("cp1252")

    def client(soc, code, kind, name, damaged, email, phone, street, cp, city, country, active):
        row = {"CODE_SOC": soc, "CODE_CLI": pad(code, 8),
               "RAISON": pad(misread(name) if damaged else name, 40), "TYPE_CLI": kind,
               "EMAIL": pad(email or "", 30), "TEL": phone or "", "ADR1": pad(street, 30),
               "ADR2": pad("", 30), "CP": cp, "VILLE": pad(city, 30), "PAYS": country,
               "ACTIF": "O" if active else "N", "DATE_CREA": "20030107"}
        rows.append(("CLIENTS", ("CODE_SOC", "CODE_CLI"), row))
        reference = json.dumps([soc, row["CODE_CLI"]], separators=(",", ":"))
        held["customers.SyncCustomer"][reference] = {
            "kind": {"E": "company", "P": "person"}[kind],
            "status": "open" if active else "closed",
            "closed_reason": None if active else "inactif",
            "name": name, "number": code, "email": email, "phone": phone,
            "address": {"line1": street, "line2": None, "postal_code": cp, "city": city,
                        "country": {"FRA": "FR", "BEL": "BE"}[country]},
            "flags": [] if email else ["email_missing"]}

    client("001", "C12", "E", "Établissements Œuf & Fils", False, "compta@exemple.test",
           "+33102030405", "12 RUE DE LA PAIX", "75002", "PARIS", "FRA", True)
    client("001", "C13", "P", "Noël Garçon", True, None, None, "3 RUE HAUTE", "1000", "BRUXELLES",
           "BEL", True)
    client("002", "C12", "P", "Zoé Lefèvre", True, "zoe@exemple.test", None, "1 QUAI DU PORT", "13002",
           "MARSEILLE", "FRA", False)

    vat = {"1": "19.60", "2": "5.50"}
    for code, rate in vat.items():
        rows.append(("TVA", ("CODE_TVA",), {"CODE_TVA": code, "TAUX": rate}))

    def line(table, number, position, sku, text, quantity, cents, code):
        return (table, ("NUM_CDE", "NUM_LIG"), {
            "NUM_CDE": number, "NUM_LIG": position, "REF_ART": pad(sku, 15),
            "DESIGNATION": pad(text, 40), "QTE": quantity, "PU_HT": cents, "CODE_TVA": code,
            "UNITE": "U "})

    def meant_line(number, position, sku, text, quantity, cents, code):
        return {"legacy_id": f"{number}/{position}", "sku": sku, "description": text,
                "quantity": quantity, "unit": "U", "unit_price": euros(cents),
                "vat_rates": [vat[code].rstrip("0")] if code in vat else []}

    def order(table, number, customer, date, state, net, tax, lines):
        soc, code = customer
        row = {"NUM_CDE": number, "CODE_SOC": soc, "CODE_CLI": pad(code, 8), "DATE_CDE": date,
               "ETAT": state, "TOTAL_HT": net, "TOTAL_TVA": tax, "TOTAL_TTC": net + tax,
               "DEVISE": "EUR"}
        day = None if date == "00000000" else f"{date[:4]}-{date[4:6]}-{date[6:]}"
        unknown = any(code not in vat for *_, code in lines)
        status = {"20": "confirmed", "30": "fulfilled", "90": "cancelled"}.get(state)
        meant = status and {
            "status": status, "number": str(number), "date": day, "currency": "EUR",
            "customer_id": feed.uid("CLIENTS", soc, pad(code, 8)),
            "lines": [meant_line(number, *line) for line in sorted(lines)],
            "total_net": euros(net), "total_vat": euros(tax), "total": euros(net + tax),
            "flags": ["vat_code_unknown"] if unknown else []}
        return (table, ("NUM_CDE",), row), meant

    orders = held["orders.SyncOrder"]
    # Lines come in the order 2, 10, 1: by number they are 1, 2, 10.
    lines = [(2, "ART2", "Chaise", "2.000", 1667, "1"), (10, "ART10", "Livraison", "1.000", 2500, "1"),
             (1, "ART1", "Table", "1.500", 2761, "1")]
    row, orders["4711"] = order("COMMANDES", 4711, ("001", "C12"), "20080229", "20", 10000, 1960, lines)
    rows.append(row)
    rows += [line("LIGNES_COMMANDE", 4711, *one) for one in lines]
    lines = [(1, "LIV", "Livre", "3.000", 1000, "2"), (2, "DIV", "Divers", "1.000", 500, "9")]
    row, orders["4712"] = order("COMMANDES", 4712, ("001", "C13"), "00000000", "30", 3500, 165, lines)
    rows.append(row)
    rows += [line("LIGNES_COMMANDE", 4712, *one) for one in lines]
    draft, _ = order("COMMANDES", 4713, ("002", "C12"), "20080701", "10", 0, 0, [])
    rows.append(draft)
    gone, _ = order("COMMANDES", 4714, ("001", "C12"), "20080702", "20", 100, 20, [])
    rows.append(gone)
    lines = [(1, "ART1", "Table", "1.000", 2761, "1")]
    row, orders["commande-2007/3999"] = order("COMMANDES_2007", 3999, ("001", "C12"), "20071231", "30",
                                              2761, 541, lines)
    rows.append(row)
    rows += [line("LIGNES_2007", 3999, *one) for one in lines]

    def invoice(number, order, customer, date, kind, state, net, tax, original=None):
        soc, code = customer
        row = {"NUM_FACT": pad(number, 10), "NUM_CDE": order, "CODE_SOC": soc,
               "CODE_CLI": pad(code, 8), "DATE_FACT": date, "TYPE_FACT": kind, "ETAT": state,
               "TOTAL_HT": net, "TOTAL_TVA": tax, "TOTAL_TTC": net + tax, "DEVISE": "EUR",
               "FACT_ORIG": pad(original or "", 10)}
        rows.append(("FACTURES", ("NUM_FACT",), row))
        sign = -1 if kind == "A" else 1
        uid = lambda number: feed.uid("FACTURES", pad(number, 10))
        held["billing.SyncInvoice"][pad(number, 10)] = {
            "status": {"E": "issued", "P": "paid", "X": "voided"}[state],
            "kind": "credit_note" if kind == "A" else "invoice", "number": number,
            "date": f"{date[:4]}-{date[4:6]}-{date[6:]}", "currency": "EUR",
            "customer_id": feed.uid("CLIENTS", soc, pad(code, 8)),
            "order_ids": [feed.uid("COMMANDES", order)] if order else [],
            "credits": [uid(original)] if original else [], "credited_by": [],
            "total_net": euros(sign * net), "total_vat": euros(sign * tax),
            "total": euros(sign * (net + tax)), "paid": "0"}

    invoice("F0001", 4711, ("001", "C12"), "20080301", "F", "P", 10000, 1960)
    invoice("F0002", 4712, ("001", "C13"), "20080710", "F", "X", 3500, 165)
    invoice("A0001", None, ("001", "C13"), "20080711", "A", "E", 3500, 165, "F0002")
    invoices = held["billing.SyncInvoice"]
    invoices[pad("F0002", 10)]["credited_by"] = [feed.uid("FACTURES", pad("A0001", 10))]

    def payment(number, invoice, cents, day, matched):
        row = {"NUM_PAI": number, "NUM_FACT": pad(invoice, 10), "MONTANT": cents, "DATE_PAI": day,
               "RAPPROCHE": "O" if matched else "N", "DEVISE": "EUR"}
        d, m, y = day.split("/")
        held["payments.SyncPayment"][str(number)] = {
            "status": "captured", "invoice_id": feed.uid("FACTURES", pad(invoice, 10)),
            "customer_id": invoices[pad(invoice, 10)]["customer_id"],
            "date": f"{y}-{m}-{d}", "amount": euros(cents), "currency": "EUR", "reconciled": matched}
        return ("PAIEMENTS", ("NUM_PAI",), row)

    rows.append(payment(1, "F0001", 10000, "15/03/2008", True))
    feed.snapshot(rows)
    # What happens after the snapshot: the draft is confirmed, an order is deleted, the rest is paid.
    lines = [(1, "ART2", "Chaise", "1.000", 1667, "1")]
    row, orders["4713"] = order("COMMANDES", 4713, ("002", "C12"), "20080701", "20", 1667, 327, lines)
    feed.commit(("u", *row), ("c", *line("LIGNES_COMMANDE", 4713, *lines[0])))
    feed.commit(("d", *gone))
    orders["4714"] = {"absent": "deleted"}
    feed.commit(("c", *payment(2, "F0001", 1960, "01/04/2008", False)))
    invoices[pad("F0001", 10)]["paid"] = "119.60"
    write(folder / "gescom", feed, held)


def boutique(folder):
    feed = Feed("boutique", "shop.public.")
    rows = []
    held = {name: {} for name in ("customers.SyncCustomer", "orders.SyncOrder",
                                  "billing.SyncInvoice", "payments.SyncPayment")}

    def customer(number, first, last, email, phone, town, active=True):
        rows.append(("shop_customer", ("customer_id",), {
            "customer_id": number, "firstname": first, "lastname": last, "email": email,
            "telephone": phone, "street": "1 rue Basse", "town": town, "active": active,
            "password": "not-for-bascule", "newsletter": True}))
        code, city = town.split(" ", 1)
        held["customers.SyncCustomer"][str(number)] = {
            "kind": "person", "status": "open" if active else "closed",
            "closed_reason": None if active else "inactive", "name": f"{first} {last}",
            "number": str(number), "email": email.lower(),
            "phone": "".join(c for c in phone if c.isdigit() or c == "+") or None,
            "address": {"line1": "1 rue Basse", "line2": None, "postal_code": code, "city": city,
                        "country": "FR"}, "flags": []}

    customer(1, "Ada", "Martin", "Ada@Exemple.test", "01 02.03.04-05", "75002 Paris")
    customer(2, "Bob", "Durand", "bob@exemple.test", "", "69001 Lyon", active=False)

    state = {1: None, 2: ("confirmed", None), 3: ("fulfilled", "paid"), 4: ("cancelled", None)}

    def order(number, customer, placed, day, status, items, guest=None, paid=None, paid_day=None,
              note=None):
        # Prices with tax; the net price of one is rounded to 4 decimals, half up.
        gross = sum(quantity * cents for _, quantity, cents, _ in items)
        row = {"order_id": number, "customer_id": customer, "placed_at": placed,
               "status": status, "currency": "eur", "total_gross": euros(gross),
               "total_tax": euros(gross - TOTALS[number]), "note": note, "paid_at": paid,
               "guest_name": guest and guest[0], "guest_email": guest and guest[1]}
        changes = [("shop_order", ("order_id",), row)]
        changes += [("shop_order_item", ("item_id",), {
            "item_id": 10 * number + at, "order_id": number, "sku": sku, "label": sku.title(),
            "quantity": quantity, "price": euros(cents), "tax": "19.6000"})
            for at, (sku, quantity, cents, _) in enumerate(items)]
        who = feed.uid("guest", number) if customer == 0 else feed.uid("shop_customer", customer)
        if customer == 0:
            held["customers.SyncCustomer"][f"guest/{number}"] = {
                "kind": "person", "name": guest[0], "email": guest[1], "flags": ["guest"]}
        if state[status]:
            held["orders.SyncOrder"][str(number)] = {
                "status": state[status][0], "number": str(number), "date": day, "note": note,
                "customer_id": who, "currency": "EUR",
                "lines": [{"legacy_id": str(10 * number + at), "sku": sku, "description": sku.title(),
                           "quantity": str(quantity), "unit_price": price, "vat_rates": ["19.6"]}
                          for at, (sku, quantity, _, price) in enumerate(items)],
                "total_net": euros(TOTALS[number]), "total_vat": euros(gross - TOTALS[number]),
                "total": euros(gross), "flags": ["guest"] if customer == 0 else []}
            if state[status][1]:
                held["billing.SyncInvoice"][f"order-invoice/{number}"] = {
                    "status": "paid", "kind": "invoice", "number": f"W-{number:06d}", "date": day,
                    "currency": "EUR", "customer_id": who, "order_ids": [feed.uid("shop_order", number)],
                    "total_net": euros(TOTALS[number]), "total_vat": euros(gross - TOTALS[number]),
                    "total": euros(gross), "paid": euros(gross)}
                held["payments.SyncPayment"][f"order-payment/{number}"] = {
                    "status": "captured", "invoice_id": feed.uid("order-invoice", number),
                    "customer_id": who,
                    "date": paid_day, "amount": euros(gross), "currency": "EUR", "reconciled": True}
        return changes

    # What is before tax, by order: gross / 1.196, rounded half up by hand.
    TOTALS = {100: 10000, 101: 4167, 102: 836, 103: 1000, 104: 2500}
    # Half past midnight in Paris: the day is 1 July, though in UTC it is still 30 June.
    rows += order(100, 1, "2009-06-30T22:30:00Z", "2009-07-01", 3, [("chaise", 2, 5980, "50.0000")],
                  paid="2009-07-14T22:00:00Z", paid_day="2009-07-15", note="pour Ada")
    # 49.84 / 1.196 = 41.6722…, of one 24.92 / 1.196 = 20.83612…
    rows += order(101, 0, "2009-12-31T22:59:59Z", "2009-12-31", 2, [("lampe", 2, 2492, "20.8361")],
                  guest=("Zoé Hôte", "zoe@exemple.test"), note="chez Zoé")
    # 10.00 / 1.196 = 8.36120…
    rows += order(102, 2, "2009-12-31T23:00:00Z", "2010-01-01", 4, [("tapis", 1, 1000, "8.3612")])
    rows += order(103, 1, "2010-01-02T09:00:00Z", "2010-01-02", 1, [("table", 1, 1196, "10.0000")])
    feed.snapshot(rows)
    # After the snapshot: the basket of 103 is ordered, a guest comes and pays.
    changes = order(103, 1, "2010-01-02T09:00:00Z", "2010-01-02", 2, [("table", 1, 1196, "10.0000")])
    feed.commit(*[("u", *change) for change in changes])
    changes = order(104, 0, "2010-03-28T00:30:00Z", "2010-03-28", 3, [("miroir", 1, 2990, "25.0000")],
                    guest=("Léo Passant", "leo@exemple.test"), paid="2010-03-28T01:30:00Z",
                    paid_day="2010-03-28")
    feed.commit(*[("c", *change) for change in changes])
    write(folder / "boutique", feed, held)


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/examples")
    gescom(where)
    boutique(where)
