//! The official clients of EventStoreDB in Python and JavaScript against the real binary: what they do
//! stands in `tests/wire/`. Those in Rust meet the server in `crates/wire`; here they connect by TLS.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use database::Engine;

use crate::server::{Data, Server};

const LISTEN: &str = "BASCULE_WIRE__LISTEN";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn interpreter() -> Command {
    let interpreter = root().join(".venv/bin/python");
    assert!(interpreter.exists(), "there is no {}: run make test-tools", interpreter.display());
    Command::new(interpreter)
}

/// The interpreter of a script and the script.
fn python() -> Command {
    let mut command = interpreter();
    command.arg(root().join("tests/wire/client.py"));
    command
}

fn node() -> Command {
    let client = root().join("node_modules/@kurrent/kurrentdb-client");
    assert!(client.exists(), "there is no {}: run make test-tools", client.display());
    // Where the machine's is missing or old, .venv brings its own.
    let own = root().join(".venv/bin/node");
    let mut command = Command::new(if own.exists() { own } else { "node".into() });
    command.arg(root().join("tests/wire/client.mjs"));
    command
}

/// Runs a script to its end. It may ask for the server to be restarted, once or more.
fn run(mut script: Command, arguments: &[&str], mut restart: impl FnMut()) {
    let mut child =
        script.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answers = child.stdin.take().unwrap();
    let mut last = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = line.unwrap();
        if last == "restart" {
            restart();
            answers.write_all(b"back\n").unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success() && last == "done", "{script:?}: {status}, after {last:?}");
}

/// A server that everybody on this machine may use, restarted where it was.
fn check_in_the_clear(data: &Data, script: Command) {
    let mut server = Some(data.serve_with(&[(LISTEN, "127.0.0.1:0")]));
    let address = server.as_ref().map(Server::wire_address).unwrap();
    run(script, &[&address], || {
        assert!(server.take().unwrap().stop().success());
        server = Some(data.serve_with(&[(LISTEN, &address)]));
        assert_eq!(server.as_ref().unwrap().wire_address(), address);
    });
    assert!(server.take().unwrap().stop().success());
}

/// A server with accounts and a certificate of its own; where the certificate is.
fn serve_with_tls(data: &Data) -> (Server, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.unwrap();
    let (certificate, key) = (data.path("wire.pem"), data.path("wire.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let settings = format!(
        r#"
[wire]
listen = "127.0.0.1:0"

[wire.tls]
certificate = "{}"
key = "{}"

[wire.accounts.ada]
password = "swordfish"
rights = ["read", "append"]

[wire.accounts.eve]
password = "swordfish"
rights = ["read"]
"#,
        certificate.display(),
        key.display()
    );
    std::fs::write(data.path("bascule.toml"), settings).unwrap();
    (data.serve(), certificate)
}

fn check_with_tls(script: Command) {
    let data = Data::new();
    let (server, certificate) = serve_with_tls(&data);
    let address = server.wire_address().replace("127.0.0.1", "localhost");
    run(script, &[&address, certificate.to_str().unwrap()], || panic!("it is not restarted"));
}

#[test]
fn the_python_client_finds_what_it_expects() {
    check_in_the_clear(&Data::new(), python());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_finds_the_same_on_postgresql() {
    let data = Data::on(Engine::Postgres).await;
    tokio::task::block_in_place(|| check_in_the_clear(&data, python()));
}

#[test]
fn the_python_client_connects_by_tls() {
    check_with_tls(python());
}

#[test]
fn the_javascript_client_finds_what_it_expects() {
    check_in_the_clear(&Data::new(), node());
}

#[test]
fn the_javascript_client_connects_by_tls() {
    check_with_tls(node());
}

/// The address of the official clients in Rust.
fn url(scheme: &str, name: &str, server: &Server, certificate: &Path) -> String {
    let address = server.wire_address().replace("127.0.0.1", "localhost");
    format!("{scheme}://{name}:swordfish@{address}?tls=true&tlsCaFile={}", certificate.display())
}

/// The same with both of its authors' clients, whose types have the same names.
macro_rules! connects_by_tls {
    ($test:ident, $client:ident, $scheme:literal) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            use $client::{Client, Error, EventData};
            let data = Data::new();
            let (mut server, certificate) = serve_with_tls(&data);
            let client =
                |name| Client::new(url($scheme, name, &server, &certificate).parse().unwrap()).unwrap();
            let event = || EventData::json("Greeted", &serde_json::json!({ "name": "Ada" })).unwrap();
            let ada = client("ada");
            ada.append_to_stream("greetings", &Default::default(), event()).await.unwrap();
            let mut read = ada.read_stream("greetings", &Default::default()).await.unwrap();
            let greeted = read.next().await.unwrap().unwrap();
            assert_eq!(greeted.get_original_event().event_type, "Greeted");
            let refused = client("eve").append_to_stream("greetings", &Default::default(), event()).await;
            assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
            assert!(server.stop().success());
        }
    };
}

connects_by_tls!(the_rust_client_connects_by_tls, eventstore, "esdb");
connects_by_tls!(its_successor_connects_by_tls, kurrentdb, "kurrentdb");

#[test]
fn the_configuration_is_shown_without_passwords() {
    let data = Data::new();
    let (_server, _) = serve_with_tls(&data);
    let shown = data.run_ok(&["serve", "--wire-listen", "127.0.0.1:2113", "--dump-config"]);
    assert!(!shown.contains("swordfish"), "{shown}");
    assert!(shown.contains(r#"listen = "127.0.0.1:2113""#), "{shown}");
    assert!(shown.contains("append"), "{shown}");
}

#[test]
fn a_server_that_would_be_open_to_everybody_does_not_start() {
    let data = Data::new();
    let refused = data.run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--wire-listen",
        "0.0.0.0:0",
    ]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("[wire.accounts]"), "{said}");
}

/// What a consumer prints of the events of one order: its position and the type of each.
fn consumed(consumer: &mut Command, order: &str, until: &str) -> Vec<(u64, String)> {
    let mut child = consumer.stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [position, event, of] = words[..] else { panic!("{line}") };
        assert!(event.starts_with("orders."), "{line}");
        if of == order {
            seen.push((position.parse().unwrap(), event.to_owned()));
        }
        if of == order && event == until {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    seen
}

/// The consumer that the guide shows, word by word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_of_the_guide_hears_of_orders() {
    let guide = std::fs::read_to_string(root().join("docs/extraction.md")).unwrap();
    let (_, rest) = guide.split_once("```python\n").unwrap();
    let (consumer, _) = rest.split_once("```").unwrap();
    let data = Data::new();
    let script = data.path("consumer.py");
    std::fs::write(&script, consumer).unwrap();
    let server = data.serve_with(&[(LISTEN, "127.0.0.1:0")]);
    let wire = format!("kurrentdb://{}?tls=false", server.wire_address());
    let customer = server.register_customer("ada@exemple.fr").await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    let (placed, confirmed) = ("orders.OrderPlaced.v1", "orders.OrderConfirmed.v1");
    let seen = consumed(interpreter().arg(&script).env("WIRE", &wire), &order, confirmed);
    let types: Vec<&str> = seen.iter().map(|(_, event)| event.as_str()).collect();
    assert_eq!(types, [placed, confirmed]);

    // From where it was.
    let next = server.place_order(&customer, "sandbox:ok").await;
    let from = seen[1].0.to_string();
    let mut again = interpreter();
    again.arg(&script).env("WIRE", &wire).env("FROM", from);
    let seen = consumed(&mut again, &next, confirmed);
    assert_eq!(seen.len(), 2, "{seen:?}");
}
