//! What surrounds handlers: request ids, traces, unknown routes and methods, failures.

use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::sample::{Call, House};

#[actix_web::test]
async fn every_answer_says_which_request_it_is_for() {
    let house = House::new().await;
    for (uri, status) in [("/api/v1/lamps", 200), ("/nowhere", 404), ("/api/v1/lamps/7", 400)] {
        let call = Call::get(uri)
            .header("X-Request-Id", "call-7")
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let answer = call.send(&house).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-request-id"), "call-7");
        assert_eq!(answer.header("bascule-correlation-id").len(), 36);
        assert!(answer.header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    }
}

#[actix_web::test]
async fn unknown_paths_answer_404() {
    let house = House::new().await;
    for uri in ["/", "/api/v1/lamps/", "/api/v1/lamps/7/8/9", "/api/v2/lamps", "//", "/%00"] {
        Call::get(uri).send(&house).await.is_problem(404, "no-such-route");
    }
}

#[actix_web::test]
async fn unknown_methods_answer_405_with_those_there_are() {
    let house = House::new().await;
    for (method, uri, allowed) in [
        ("DELETE", "/api/v1/lamps", "GET, POST"),
        ("OPTIONS", "/api/v1/lamps", "GET, POST"),
        ("BREW", "/api/v1/lamps", "GET, POST"),
        ("POST", "/api/v1/lamps/7", "GET"),
        ("GET", "/api/v1/lamps/7/put-out", "POST"),
        ("PUT", "/api/v1/correlations/7", "GET"),
    ] {
        let answer = Call::new(method, uri).send(&house).await;
        answer.is_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allowed, "{method} {uri}");
    }
}

#[actix_web::test]
async fn a_failure_is_opaque_outside() {
    let answer = Call::get("/api/v1/lamps/fail").send(&House::new().await).await;
    answer.is_problem(500, "internal");
    assert!(!answer.body.to_string().contains("swordfish"));
}

/// Remembers which metrics were touched.
#[derive(Default)]
struct Touched(Mutex<Vec<String>>);

impl Touched {
    fn add(&self, key: &Key) {
        let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
        let labels = labels.collect::<Vec<_>>().join(",");
        self.0.lock().unwrap().push(format!("{}{{{labels}}}", key.name()));
    }
}

impl Recorder for Touched {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.add(key);
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.add(key);
        Histogram::noop()
    }
}

#[actix_web::test]
async fn metrics_tell_routes_apart_but_not_paths() {
    let house = House::new().await;
    let recorder = Touched::default();
    {
        let _guard = metrics::set_default_local_recorder(&recorder);
        Call::get("/api/v1/lamps/7").send(&house).await;
        Call::new("BREW", "/anything/at/all").send(&house).await;
    }
    assert_eq!(
        *recorder.0.lock().unwrap(),
        [
            "http_request_duration_seconds{method=GET,route=/api/v1/lamps/{id}}",
            "http_requests_total{method=GET,route=/api/v1/lamps/{id},status=400}",
            "http_request_duration_seconds{method=other,route=unmatched}",
            "http_requests_total{method=other,route=unmatched,status=404}",
        ]
    );
}
