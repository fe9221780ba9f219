//! What a page in somebody's browser cannot do to a server on the same machine.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Data, Server, customer};

/// Routes of both listeners: those that say something, and those that do something.
const READS: &[&str] = &["/api/v1/customers", "/openapi.json", "/docs/", "/no/such/route"];
const ADMIN_READS: &[&str] = &["/livez", "/readyz", "/metrics", "/admin/subscriptions"];

async fn refused(request: reqwest::RequestBuilder, header: (&str, &str)) -> String {
    let response = request.header(header.0, header.1).send().await.unwrap();
    assert_eq!(response.status(), 403, "{header:?} {}", response.url());
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/forbidden");
    problem["detail"].as_str().unwrap().to_owned()
}

async fn refuses_everything(server: &Server, header: (&str, &str)) {
    for path in READS {
        refused(server.request(Method::GET, path), header).await;
    }
    for path in ADMIN_READS {
        refused(server.admin_request(Method::GET, path), header).await;
    }
    let order = "/api/v1/orders/01900000-0000-7000-8000-000000000000";
    for action in ["confirm", "fulfil", "cancel"] {
        let request = server.request(Method::POST, &format!("{order}/{action}"));
        refused(request.json(&json!({})), header).await;
    }
    let register = server.request(Method::POST, "/api/v1/customers");
    let detail = refused(register.json(&customer("ada@exemple.fr")), header).await;
    assert!(detail.contains("allowed_hosts"), "{detail}");
}

#[tokio::test]
async fn pages_of_other_sites_neither_read_nor_do_anything() {
    let data = Data::new();
    let mut server = data.serve();
    for header in [
        ("Host", "evil.example:8080"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        refuses_everything(&server, header).await;
    }
    assert_eq!(server.head().await, 0, "nothing was carried out");
    // The documentation's own page, as its browser asks.
    let own = server.request(Method::POST, "/api/v1/customers").json(&customer("ada@exemple.fr"));
    let own = own.header("Origin", &server.http).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), 201);
    assert_eq!(server.request(Method::GET, "/docs/").send().await.unwrap().status(), 200);
    assert!(server.stop().success());
}

#[tokio::test]
async fn a_proxy_is_told_by_its_name_and_probes_by_address_go_on_working() {
    let data = Data::new();
    let mut behind = data.serve_with(&[("BASCULE_ALLOWED_HOSTS", "[shop.example]")]);
    let through = |host: &str| {
        let request = behind.request(Method::GET, "/api/v1/customers");
        request.header("Host", host).header("Origin", "https://shop.example").send()
    };
    assert_eq!(through("shop.example").await.unwrap().status(), 200);
    refused(behind.request(Method::GET, "/api/v1/customers"), ("Host", "evil.example")).await;
    assert!(behind.stop().success());

    // As an orchestrator does it: by the address of the pod, which is none of loopback.
    let mut outside = data.serve_at("0.0.0.0:0", &[]);
    for probe in ["/livez", "/readyz", "/startupz", "/metrics"] {
        for host in ["10.1.2.3:9090", "bascule.default.svc"] {
            let request = outside.admin_request(Method::GET, probe).header("Host", host);
            assert_eq!(request.send().await.unwrap().status(), 200, "{probe} {host}");
        }
    }
    assert!(outside.stop().success());
}
