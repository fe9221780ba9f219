//! A module that was written from docs/new-module.md: it runs beside the others, is described with them,
//! and costs what the page says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
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

/// Copies the checkout without the samples.
fn copied(root: &Path, checkout: &Path) {
    for file in files(root) {
        let to = checkout.join(&file);
        if file.starts_with("samples") {
            continue;
        }
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(&file), &to).unwrap();
    }
    let manifest = checkout.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replace(", \"samples/*\", \"samples/*/contract\"", "");
    let lines = text.lines().filter(|line| !line.starts_with("loyalty"));
    std::fs::write(&manifest, lines.fold(String::new(), |text, line| text + line + "\n")).unwrap();
}

/// Runs the script that begins a module.
fn new_module(checkout: &Path, name: &str) -> Output {
    let mut script = Command::new(root().join("scripts/new-module.py"));
    script.arg(name).arg("--into").arg(checkout).output().unwrap()
}

/// The files of a folder with their content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let shown = path.strip_prefix(folder).unwrap().to_owned();
                contents.insert(shown, std::fs::read(path).unwrap());
            }
        }
    }
    contents
}

#[test]
fn a_fifth_module_costs_two_edited_files_and_leaves_as_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = folder.path().join("checkout");
    copied(&root(), &checkout);
    let before = contents(&checkout);

    let made = new_module(&checkout, "loyalty");
    assert!(made.status.success(), "{made:?}");

    let after = contents(&checkout);
    let changed: Vec<&Path> = after
        .iter()
        .filter(|(file, content)| before.get(*file) != Some(content))
        .map(|(file, _)| file.as_path())
        .filter(|file| !file.starts_with("domains/loyalty"))
        .collect();
    assert_eq!(changed, [Path::new("Cargo.toml"), Path::new("src/main.rs")]);

    let service = folder.path().join("service");
    let mut extract = shop(&checkout);
    output(extract.args(["extract", "loyalty", "--scaffold"]).arg(&service));
    let main = std::fs::read_to_string(service.join("src/main.rs")).unwrap();
    assert!(main.contains("program::main(&[&loyalty::LoyaltyModule])"), "{main}");
    assert!(service.join("domains/loyalty/src/domain.rs").is_file());
    assert!(service.join("domains/orders/contract").is_dir());
    assert!(!service.join("domains/orders/src").exists());
}

#[test]
fn a_module_begins_as_the_sample_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    copied(&root(), folder.path());
    let made = new_module(folder.path(), "wishlist");
    assert!(made.status.success(), "{made:?}");

    let sample = contents(&root().join("samples/loyalty"));
    let module = contents(&folder.path().join("domains/wishlist"));
    assert_eq!(module.len(), sample.len());
    for (file, content) in module {
        let file = file.to_str().unwrap().replace("wishlist", "loyalty");
        let content = String::from_utf8(content).unwrap();
        let content = content.replace("wishlist", "loyalty").replace("Wishlist", "Loyalty");
        assert_eq!(content.as_bytes(), sample[Path::new(&file)], "{file}");
    }
}

#[test]
fn a_name_that_is_taken_or_invalid_begins_no_module() {
    let folder = tempfile::tempdir().unwrap();
    copied(&root(), folder.path());
    let before = contents(folder.path());
    for (name, problem) in [
        ("orders", "already names a crate"),
        ("kernel", "already names a crate"),
        ("wish-list", "invalid name"),
        ("async", "invalid name"),
        ("bascule", "invalid name"),
        ("replica", "invalid name"),
        ("../wishlist", "invalid name"),
    ] {
        let refused = new_module(folder.path(), name);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && told.contains(problem), "{name}: {told}");
    }
    assert!(contents(folder.path()) == before, "a refused name changed files");
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
