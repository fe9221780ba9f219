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
use serde_json::{Map, Value, json};
use tokio::sync::{OnceCell, watch};

/// State that the probes report.
pub struct Probes {
    metrics: PrometheusHandle,
    running: OnceCell<Running>,
    stopping: AtomicBool,
}

struct Running {
    store: Arc<dyn EventStore>,
    /// Position that all read models must reach once before the replica is ready.
    head_at_start: Position,
    projections: Vec<(String, Progress)>,
    subscriptions: Vec<(String, watch::Receiver<SubscriptionState>)>,
}

impl Probes {
    /// Returns the probes of a system that is starting.
    pub fn new(metrics: PrometheusHandle) -> Self {
        Self { metrics, running: OnceCell::new(), stopping: AtomicBool::new(false) }
    }

    /// Reports that the system is open.
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

    /// Reports that the system is stopping and accepts no new requests.
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
    // Read before the head, because the log grows meanwhile.
    let positions = running.positions();
    let head = match running.store.head().await {
        Ok(head) => head,
        Err(error) => return not_ready("store unavailable", error.into()),
    };
    if let Err(error) = running.store.check_writable().await {
        return not_ready("store not writable", error.into());
    }
    NOT_READY.ends("/readyz");
    let readiness = running.readiness(&positions, head);
    if readiness == Readiness::Ready {
        HttpResponse::Ok().json(running.described(readiness, &positions, head))
    } else {
        HttpResponse::ServiceUnavailable().json(running.described(readiness, &positions, head))
    }
}

/// The readiness of the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Ready,
    CatchingUp,
    InTrouble,
    /// Subscriptions have read beyond the end of the log, or another log.
    WentBack,
}

impl Readiness {
    fn status(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::CatchingUp => "catching up",
            Self::InTrouble => "subscriptions in trouble",
            Self::WentBack => "the log went back",
        }
    }
}

/// Reason for which subscriptions are stopped.
const WENT_BACK: &str = "the event store was restored to an earlier state or replaced, or a failover lost \
                         its end: the subscriptions that had read further have stopped";
/// Command that restarts them.
const MENDED_BY: &str = "bascule projections rebuild --all";

impl Running {
    /// Returns the position of each projection. Omits projections that stopped before they read an event:
    /// their checkpoint belongs to a log that is gone.
    fn positions(&self) -> Vec<(&str, Position)> {
        let positions =
            self.projections.iter().map(|(name, progress)| (name.as_str(), progress.position()));
        positions.filter(|(name, position)| *position > 0 || !self.has_stopped(name)).collect()
    }

    /// Returns whether a projection's subscription (its name with the version) is stopped.
    fn has_stopped(&self, projection: &str) -> bool {
        self.subscriptions.iter().any(|(name, state)| {
            let version = name.strip_prefix(projection);
            version.is_some_and(|version| version.starts_with(".v")) && is_stopped(state)
        })
    }

    fn readiness(&self, positions: &[(&str, Position)], head: Position) -> Readiness {
        let mut states = self.subscriptions.iter().map(|(_, state)| state.borrow());
        // A projection beyond the end of the log is about to stop.
        let went_back = positions.iter().any(|(_, position)| *position > head)
            || self.subscriptions.iter().any(|(_, state)| is_stopped(state));
        // A log that went back may end before the position it had at the start.
        let wanted = self.head_at_start.min(head);
        if went_back {
            Readiness::WentBack
        } else if positions.iter().any(|(_, position)| *position < wanted) {
            Readiness::CatchingUp
        } else if states.any(|state| matches!(*state, SubscriptionState::Interrupted(_))) {
            // Subscriptions that another replica runs do not affect the readiness of this one.
            Readiness::InTrouble
        } else {
            Readiness::Ready
        }
    }

    fn described(
        &self,
        readiness: Readiness,
        positions: &[(&str, Position)],
        head: Position,
    ) -> Value {
        let projections: Map<_, _> = positions
            .iter()
            .map(|(name, position)| {
                let lag = lag::behind(head, *position);
                ((*name).to_owned(), json!({ "position": position, "lag_events": lag }))
            })
            .collect();
        let states = self.subscriptions.iter();
        let subscriptions: Map<_, _> = states
            .map(|(name, state)| {
                let described = match &*state.borrow() {
                    // The reason and the remedy are the same for all and reported once.
                    SubscriptionState::Stopped(_) => json!({ "state": "stopped" }),
                    other => described(other),
                };
                (name.clone(), described)
            })
            .collect();
        let mut body = json!({
            "status": readiness.status(),
            "head": head,
            "projections": projections,
            "subscriptions": subscriptions,
        });
        if readiness == Readiness::WentBack {
            body["why"] = WENT_BACK.into();
            body["mended_by"] = MENDED_BY.into();
        }
        body
    }
}

/// Readiness probes that fail because of the store. (Subscriptions log their own errors.)
static NOT_READY: Outage = Outage::new("replica_not_ready", "this replica is not ready");

/// Returns the answer with the error and its causes: only operators see this listener.
fn not_ready(status: &str, error: anyhow::Error) -> HttpResponse {
    let hint = outage::no_descriptor_is_left().map(|hint| format!(" ({hint})"));
    let why = format!("{error:#}{}", hint.unwrap_or_default());
    NOT_READY.occurs_because("/readyz", &error.root_cause().to_string(), &why);
    HttpResponse::ServiceUnavailable().json(json!({ "status": status, "why": why }))
}

fn is_stopped(state: &watch::Receiver<SubscriptionState>) -> bool {
    matches!(*state.borrow(), SubscriptionState::Stopped(_))
}

/// Returns a subscription's state as JSON for clients.
pub fn described(state: &SubscriptionState) -> Value {
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

/// Returns the resident memory of this process in bytes, if the operating system reports it.
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
