//! The log as the command line prints it, compared with what clients were told, with what a saga is
//! to come to, with the provider's books and with the read models.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::load::{Acknowledged, What};
use super::provider;
use crate::server::{Data, Server};

const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// Events that may come between the look at the head and the print of the log.
const MEANWHILE: u64 = 5_000;

/// What an aggregate went through: how often each kind of event happened, without its version.
type Story = BTreeMap<String, usize>;

/// Everything read so far.
#[derive(Default)]
pub(super) struct Audit {
    read_to: u64,
    /// The revision that comes next, by stream.
    next: HashMap<String, u64>,
    ids: HashSet<(String, String)>,
    stories: HashMap<String, Story>,
    /// The position of each kind of event of a stream.
    positions: HashMap<(String, String), u64>,
    orders: BTreeSet<String>,
    /// By order.
    invoices: HashMap<String, Vec<String>>,
    /// By invoice.
    payments: HashMap<String, Vec<String>>,
    numbers: Vec<String>,
    told: Vec<Acknowledged>,
}

impl Audit {
    /// How many events there are.
    pub(super) fn events(&self) -> u64 {
        self.read_to
    }

    /// How much clients were told, and how much of it not at the first try.
    pub(super) fn acknowledged(&self) -> (usize, usize) {
        (self.told.len(), self.told.iter().filter(|told| !told.at_once).count())
    }

    /// Reads on to where the log ends now: positions and revisions are dense, ids unique.
    pub(super) async fn read_on(&mut self, data: &Data, server: &Server) {
        let head = server.head().await;
        let lines = (head + MEANWHILE).saturating_sub(self.read_to).to_string();
        let printed = data.run_ok(&["events", "tail", "--json", "-n", &lines]);
        for line in printed.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let position = event["position"].as_u64().unwrap();
            if position > self.read_to {
                assert_eq!(position, self.read_to + 1, "the log has a hole or goes back");
                self.read_to = position;
                self.take_in(&event);
            }
        }
        assert!(self.read_to >= head, "the log ends at {} of {head}", self.read_to);
    }

    fn take_in(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (stream, id) = (text(&event["stream"]), text(&event["id"]));
        let next = self.next.entry(stream.clone()).or_default();
        assert_eq!(event["revision"].as_u64(), Some(*next), "{event}");
        *next += 1;
        assert!(self.ids.insert((stream.clone(), id)), "its id is there twice: {event}");
        let event_type = text(&event["type"]);
        let family = event_type.rsplit_once(".v").unwrap().0.to_owned();
        let data = &event["data"];
        match family.as_str() {
            "orders.OrderPlaced" => drop(self.orders.insert(text(&data["order_id"]))),
            "billing.InvoiceIssued" => {
                for order in data["order_ids"].as_array().unwrap() {
                    let invoices = self.invoices.entry(text(order)).or_default();
                    invoices.push(text(&data["invoice_id"]));
                }
                self.numbers.push(text(&data["number"]));
            }
            "billing.CreditNoteIssued" => self.numbers.push(text(&data["number"])),
            "payments.PaymentRequested" => {
                let payments = self.payments.entry(text(&data["invoice_id"])).or_default();
                payments.push(text(&data["payment_id"]));
            }
            _ => {}
        }
        let position = event["position"].as_u64().unwrap();
        self.positions.insert((stream.clone(), family.clone()), position);
        *self.stories.entry(stream).or_default().entry(family).or_default() += 1;
    }

    fn count(&self, stream: &str, family: &str) -> usize {
        self.stories.get(stream).and_then(|story| story.get(family)).copied().unwrap_or(0)
    }

    /// What clients were told is there, once, and nothing that nobody was told. To be asked when
    /// every client has been answered.
    pub(super) fn compare_with(&mut self, told: Vec<Acknowledged>) {
        for one in &told {
            let (category, family) = one.what.event();
            let stream = format!("{category}-{}", one.id);
            assert_eq!(self.count(&stream, family), 1, "{one:?} was acknowledged");
            let position = self.positions[&(stream, family.to_owned())];
            // A repetition is told where things stand by then.
            let exactly = one.at_once && one.what == What::Placed;
            let fits = if exactly { position == one.position } else { position <= one.position };
            assert!(fits, "{one:?} stands at {position}");
        }
        self.told.extend(told);
        for what in [What::Registered, What::Placed] {
            let told = self.told.iter().filter(|told| told.what == what);
            let told: BTreeSet<&str> = told.map(|told| told.id.as_str()).collect();
            let (category, family) = what.event();
            let happened = self.stories.iter().filter(|(_, story)| story.contains_key(family));
            let happened: BTreeSet<&str> =
                happened.map(|(stream, _)| &stream[category.len() + 1..]).collect();
            assert_eq!(happened, told, "{what:?}");
        }
    }

    /// Waits until every order has come to its end, and looks at how it got there.
    pub(super) async fn until_settled(&mut self, data: &Data, server: &Server) {
        let begun = Instant::now();
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            self.read_on(data, server).await;
            let open: Vec<&String> =
                self.orders.iter().filter(|order| !self.is_settled(order)).collect();
            if open.is_empty() {
                break;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {} orders are stuck, the first: {:?}",
                open.len(),
                self.orders.len(),
                self.story(open[0]),
            );
        }
        for (stream, story) in &self.stories {
            // A series hands out many numbers; everything else happens to an aggregate once.
            let once =
                story.iter().all(|(family, count)| *count == 1 || family == "billing.NumberTaken");
            assert!(once, "{stream}: {story:?}");
        }
        let mut numbers: Vec<u64> =
            self.numbers.iter().map(|number| number[5..].parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "numbers");
    }

    /// Everything that happened because of an order.
    fn story(&self, order: &str) -> Story {
        let invoices = self.invoices.get(order).into_iter().flatten();
        let payments = invoices.clone().flat_map(|one| self.payments.get(one)).flatten();
        let streams = std::iter::once(format!("order-{order}"))
            .chain(invoices.map(|one| format!("invoice-{one}")))
            .chain(payments.map(|one| format!("payment-{one}")));
        let mut whole = Story::new();
        for (family, count) in streams.filter_map(|one| self.stories.get(&one)).flatten() {
            *whole.entry(family.clone()).or_default() += count;
        }
        whole
    }

    fn is_settled(&self, order: &str) -> bool {
        let story = self.story(order);
        let happened = |family: &str| story.contains_key(family);
        let captured =
            happened("payments.PaymentCaptured") || happened("payments.PaymentCapturedLate");
        let given_up =
            ["payments.PaymentDeclined", "payments.PaymentExpired", "payments.PaymentCancelled"]
                .into_iter()
                .any(happened);
        if happened("orders.OrderCancelled") {
            let returned = !captured || happened("payments.PaymentRefunded");
            let written_off =
                !happened("billing.InvoicePaid") || happened("billing.InvoiceRefunded");
            happened("billing.InvoiceVoided") && (captured || given_up) && returned && written_off
        } else {
            happened("orders.OrderConfirmed") && happened("billing.InvoicePaid") && captured
        }
    }

    /// Money was taken and given back as the log says, once for each payment.
    pub(super) async fn compare_with_provider(&self, data: &Data) {
        let mut captured = BTreeMap::new();
        for charge in provider::captured(data).await {
            let before = captured.insert(charge.payment, charge.refunded());
            assert_eq!(before, None, "{} was charged twice", charge.payment);
        }
        let of = |families: &[&str]| -> BTreeSet<Uuid> {
            let happened = |story: &Story| families.iter().any(|one| story.contains_key(*one));
            let streams = self.stories.iter().filter(|(_, story)| happened(story));
            streams.map(|(stream, _)| stream["payment-".len()..].parse().unwrap()).collect()
        };
        let taken: BTreeSet<Uuid> = captured.keys().copied().collect();
        assert_eq!(taken, of(&["payments.PaymentCaptured", "payments.PaymentCapturedLate"]));
        let returned: BTreeSet<Uuid> =
            captured.into_iter().filter(|(_, refunded)| *refunded).map(|one| one.0).collect();
        assert_eq!(returned, of(&["payments.PaymentRefunded"]));
    }
}

/// Everything that the API shows of the log up to a position.
pub(super) async fn shown(server: &Server, position: u64) -> Vec<Value> {
    let mut items = Vec::new();
    for list in ["customers", "orders", "billing/invoices", "payments"] {
        items.extend(server.all_of(list, position).await);
    }
    items
}

/// The read models show what a fresh fold of the same log shows, and reading the log from its
/// beginning makes nothing happen again. Nothing may be on its way; the server is stopped.
pub(super) async fn compare_with_fresh_fold(data: &Data, mut server: Server) {
    let head = server.head().await;
    let before = shown(&server, head).await;
    assert!(server.stop().success());
    let copy = data.copy_of_log().await;
    let mut server = copy.serve();
    let after = shown(&server, head).await;
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(server.head().await, head, "the events of the copy were reacted to once more");
    assert!(server.stop().success());
}
