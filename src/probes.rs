//! The second listener: probes for the orchestrator and metrics for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use kernel::event::Position;
use kernel::lag;
use kernel::outage::{self, Outage};
use kernel::projection::Progress;
use kernel::store::EventStore;
use kernel::subscription::SubscriptionState;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::{OnceCell, watch};

/// What the probes look at.
pub struct Probes {
    metrics: PrometheusHandle,
    running: OnceCell<Running>,
    stopping: AtomicBool,
}

struct Running {
    store: Arc<dyn EventStore>,
    /// Read models must have come this far once before requests are welcome.
    head_at_start: Position,
    projections: Vec<(String, Progress)>,
    subscriptions: Vec<(String, watch::Receiver<SubscriptionState>)>,
}

impl Probes {
    /// Probes of a system that is being opened.
    pub fn new(metrics: PrometheusHandle) -> Self {
        Self { metrics, running: OnceCell::new(), stopping: AtomicBool::new(false) }
    }

    /// The system is open.
    pub fn started(
        &self,
        store: Arc<dyn EventStore>,
        head_at_start: Position,
        projections: Vec<(String, Progress)>,
        subscriptions: Vec<(String, watch::Receiver<SubscriptionState>)>,
    ) -> anyhow::Result<()> {
        let running = Running { store, head_at_start, projections, subscriptions };
        self.running.set(running).map_err(|_| anyhow::anyhow!("started twice"))
    }

    /// The system is about to stop: no new requests, please.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Adds the routes of the second listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(live))
        .route("/startupz", web::get().to(started))
        .route("/readyz", web::get().to(ready))
        .route("/metrics", web::get().to(render_metrics));
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

async fn started(probes: web::Data<Probes>) -> HttpResponse {
    if probes.running.initialized() {
        HttpResponse::Ok().json(json!({ "status": "started" }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "starting" }))
    }
}

async fn ready(probes: web::Data<Probes>) -> HttpResponse {
    let Some(running) = probes.running.get() else {
        return HttpResponse::ServiceUnavailable().json(json!({ "status": "starting" }));
    };
    if probes.stopping.load(Ordering::Relaxed) {
        return HttpResponse::ServiceUnavailable().json(json!({ "status": "stopping" }));
    }
    let head = match running.store.head().await {
        Ok(head) => head,
        Err(error) => return not_ready("store unavailable", error.into()),
    };
    if let Err(error) = running.store.check_writable().await {
        return not_ready("store cannot be written to", error.into());
    }
    NOT_READY.ends("/readyz");
    let projections: serde_json::Map<_, _> = running
        .projections
        .iter()
        .map(|(name, progress)| {
            let position = progress.position();
            let lag = lag::behind(head, position);
            (name.clone(), json!({ "position": position, "lag_events": lag }))
        })
        .collect();
    // A log that went back may end before where it ended then.
    let wanted = running.head_at_start.min(head);
    let mut positions = running.projections.iter().map(|(_, progress)| progress.position());
    let caught_up = positions.clone().all(|position| position >= wanted);
    let is_ahead = positions.any(|position| lag::behind(head, position) < 0);
    let states = running.subscriptions.iter();
    let subscriptions: serde_json::Map<_, _> =
        states.clone().map(|(name, state)| (name.clone(), described(&state.borrow()))).collect();
    // A projection that has more than the log is about to be told so; until then it is not told here.
    let in_trouble = is_ahead || states.clone().any(|(_, state)| is_trouble(&state.borrow()));
    let status = match (caught_up, in_trouble) {
        (true, false) => "ready",
        (true, true) => "subscriptions in trouble",
        (false, _) => "catching up",
    };
    let body = json!({
        "status": status,
        "head": head,
        "projections": projections,
        "subscriptions": subscriptions,
    });
    if caught_up && !in_trouble {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// Probes that find the store out of order. (What is wrong with subscriptions they tell themselves.)
static NOT_READY: Outage = Outage::new("this replica is not ready");

/// Says what is wrong, with the causes behind it: only operators see this listener.
fn not_ready(status: &str, error: anyhow::Error) -> HttpResponse {
    let hint = outage::no_descriptor_is_left().map(|hint| format!(" ({hint})"));
    let why = format!("{error:#}{}", hint.unwrap_or_default());
    NOT_READY.occurs_because("/readyz", &error.root_cause().to_string(), &why);
    HttpResponse::ServiceUnavailable().json(json!({ "status": status, "why": why }))
}

/// Whether a subscription is such that requests should go elsewhere. One that another replica runs
/// is not.
fn is_trouble(state: &SubscriptionState) -> bool {
    matches!(state, SubscriptionState::Interrupted(_) | SubscriptionState::Stopped(_))
}

/// A subscription's state as clients see it.
pub fn described(state: &SubscriptionState) -> serde_json::Value {
    match state {
        SubscriptionState::Starting => json!({ "state": "starting" }),
        SubscriptionState::Running => json!({ "state": "running" }),
        SubscriptionState::Standby { owner } => json!({ "state": "standby", "owner": owner }),
        SubscriptionState::HandedOver { to } => json!({ "state": "handed_over", "to": to }),
        SubscriptionState::Incapable { event_type, position } => {
            json!({ "state": "incapable", "event_type": event_type, "position": position })
        }
        SubscriptionState::Interrupted(why) => json!({ "state": "interrupted", "why": why }),
        SubscriptionState::Stopped(why) => json!({ "state": "stopped", "why": why }),
    }
}

async fn render_metrics(probes: web::Data<Probes>) -> HttpResponse {
    probes.metrics.run_upkeep();
    if let Some(bytes) = resident_memory() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(probes.metrics.render())
}

/// Resident memory of this process in bytes, where the system tells.
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
