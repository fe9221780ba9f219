//! A module that was written from docs/new-module.md: it runs beside the others, is described with them,
//! and costs what the page says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

fn shop(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sample-shop"));
    command.current_dir(folder);
    command
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// A server on a store of its own; killed with this value.
struct Server {
    child: Child,
    api: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    async fn start(folder: &Path) -> Self {
        let addresses = folder.join("addresses.json");
        let store = format!("sqlite:{}", folder.join("shop.db").display());
        let serve = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut child = shop(folder)
            .args(serve)
            .args(["--store", &store])
            .env("BASCULE_ADDRESS_FILE", &addresses)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let told = eventually("the server does not start", async || {
            assert_eq!(child.try_wait().unwrap(), None, "the server ended");
            std::fs::read(&addresses).ok()
        });
        let told: Value = serde_json::from_slice(&told.await).unwrap();
        Self { child, api: format!("{}/api/v1", told["http"].as_str().unwrap()) }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}/{path}", self.api)).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }
}

async fn eventually<T>(otherwise: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{otherwise}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_order_earns_points() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let customer = json!({
        "kind": "person", "name": "Ada Martin", "email": "ada@exemple.fr",
        "address": { "line1": "1 rue de la Paix", "postal_code": "75002", "city": "Paris", "country": "FR" },
    });
    let customer = server.post("customers", customer).await["id"].clone();
    let order = json!({
        "customer_id": customer, "currency": "EUR", "payment_method": "sandbox:ok",
        "lines": [{
            "sku": "CH-1", "description": "Chaise", "quantity": "2", "unit_price": "49.90",
            "vat_rate": "20",
        }],
    });
    server.post("orders", order).await;
    let card = format!("{}/loyalty/cards/{}", server.api, customer.as_str().unwrap());
    let points = eventually("there are no points", async || {
        let answer = reqwest::get(&card).await.unwrap();
        let shown: Value = answer.json().await.unwrap();
        shown["points"].as_u64()
    });
    assert_eq!(points.await, 119);
}

#[test]
fn the_module_is_described_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let openapi: Value =
        serde_json::from_slice(&output(shop(folder.path()).arg("openapi")).stdout).unwrap();
    assert!(openapi["paths"]["/api/v1/loyalty/cards/{id}"]["get"].is_object());
    let asyncapi: Value =
        serde_json::from_slice(&output(shop(folder.path()).arg("asyncapi")).stdout).unwrap();
    assert_eq!(asyncapi["operations"]["loyalty.earning.order"]["action"], "receive");
    output(shop(folder.path()).args(["modules", "export", "--folder", "pages"]));
    let page = std::fs::read_to_string(folder.path().join("pages/loyalty.md")).unwrap();
    assert!(page.contains("`loyalty.PointsEarned`"), "{page}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Files of the checkout, as git knows them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut git = Command::new("git");
    let listed =
        output(git.current_dir(folder).args(["ls-files", "-co", "--exclude-standard", "-z"]));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files = listed.split('\0').filter(|file| !file.is_empty()).map(PathBuf::from);
    files.filter(|file| folder.join(file).is_file()).collect()
}

/// What docs/new-module.md has a reader change outside of the module's folder.
fn edited(file: &str, text: &str) -> String {
    let insert = |after: &str, line: &str| {
        assert_eq!(text.matches(after).count(), 1, "{file}: {after}");
        text.replace(after, &format!("{after}{line}"))
    };
    match file {
        "Cargo.toml" => {
            // Without the samples, of which the module here is one.
            let text = text.replace(", \"samples/*\", \"samples/*/contract\"", "");
            let text = text.replace("samples/loyalty", "domains/loyalty");
            text.replace(
                "[dependencies]\nbilling",
                "[dependencies]\nloyalty.workspace = true\nbilling",
            )
        }
        "src/main.rs" => insert("::on_sandbox(),\n", "    &loyalty::LoyaltyModule,\n"),
        _ => text.to_owned(),
    }
}

#[test]
fn a_fifth_module_costs_two_edited_files_and_leaves_as_a_service() {
    let (root, folder) = (root(), tempfile::tempdir().unwrap());
    let checkout = folder.path().join("checkout");
    let mut changed = BTreeSet::new();
    for file in files(&root) {
        let shown = file.display().to_string();
        // The sample becomes a module; the shop has what the checkout itself is then.
        if shown.starts_with("samples/shop") {
            continue;
        }
        let to = checkout.join(shown.replacen("samples/loyalty", "domains/loyalty", 1));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(&file), &to).unwrap();
        if let Ok(text) = std::fs::read_to_string(&to) {
            let edited = edited(&shown, &text);
            if edited != text {
                std::fs::write(&to, edited).unwrap();
                changed.insert(shown);
            }
        }
    }
    assert_eq!(changed, BTreeSet::from(["Cargo.toml".to_owned(), "src/main.rs".to_owned()]));

    let service = folder.path().join("service");
    let mut extract = shop(&checkout);
    output(extract.args(["extract", "loyalty", "--scaffold"]).arg(&service));
    let main = std::fs::read_to_string(service.join("src/main.rs")).unwrap();
    assert!(main.contains("program::main(&[&loyalty::LoyaltyModule])"), "{main}");
    assert!(service.join("domains/loyalty/src/domain.rs").is_file());
    assert!(service.join("domains/orders/contract").is_dir());
    assert!(!service.join("domains/orders/src").exists());
}

/// Lines that say nothing about loyalty: manifests, the module's value, what its tests are held to.
#[test]
fn a_module_costs_at_most_a_hundred_lines_of_boilerplate() {
    let loyalty = root().join("samples/loyalty");
    let lines = |file: &str| {
        let text = std::fs::read_to_string(loyalty.join(file)).unwrap();
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
    };
    let files = [
        "Cargo.toml",
        "contract/Cargo.toml",
        "src/lib.rs",
        "tests/loyalty/main.rs",
        "tests/loyalty/contract.rs",
    ];
    let counted: Vec<(&str, usize)> = files.map(|file| (file, lines(file))).into();
    let sum: usize = counted.iter().map(|(_, lines)| lines).sum();
    assert!(sum <= 100, "{sum} lines: {counted:?}");
}
