//! Stores of former schemas, each kept as a fixture: today's binary migrates them, and the API answers
//! as it did. `scripts/make-schema-fixture.py` makes a fixture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use database::Engine;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;
use testkit::postgres::{TestDatabase, execute};

use crate::modules::count_of_the_saga;
use crate::server::{Data, Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A store of a former schema, on one engine.
struct Fixture {
    folder: PathBuf,
    engine: Engine,
    /// What was told of it when it was made.
    told: Value,
}

impl Fixture {
    /// All that there are on an engine.
    fn all(engine: Engine) -> Vec<Self> {
        let folders = std::fs::read_dir(Path::new(ROOT).join("tests/data/schemas")).unwrap();
        let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().path()).collect();
        folders.sort();
        assert!(!folders.is_empty(), "there are no fixtures");
        let fixture = |folder: PathBuf| {
            let told =
                output("gzip", &["-dc", &path(&folder, &format!("{}.json.gz", name(engine)))]);
            Self { told: serde_json::from_slice(&told).unwrap(), folder, engine }
        };
        folders.into_iter().map(fixture).collect()
    }

    /// A copy to work on.
    async fn open(&self) -> Data {
        let data = match self.engine {
            Engine::Sqlite => {
                let data = Data::new();
                let into = data.path("").display().to_string();
                output("tar", &["-xzf", &path(&self.folder, "sqlite.tar.gz"), "-C", &into]);
                data
            }
            Engine::Postgres => {
                let database = TestDatabase::create().await;
                let dump = output("gzip", &["-dc", &path(&self.folder, "postgres.sql.gz")]);
                execute(database.url(), &String::from_utf8(dump).unwrap()).await;
                Data::within(database)
            }
        };
        std::fs::copy(self.folder.join("master.key"), data.path("bascule.key")).unwrap();
        data
    }

    /// The migrations that were applied to a database of it.
    fn migrations(&self, database: &str) -> BTreeSet<u64> {
        let versions = self.told["migrations"][database].as_array();
        versions.into_iter().flatten().map(|version| version.as_u64().unwrap()).collect()
    }
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
    }
}

fn path(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output.stdout
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_former_schema_is_migrated_and_answers_as_before(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    for fixture in Fixture::all(engine) {
        let data = fixture.open().await;
        let server = data.serve();
        server.until_ready().await;
        assert_eq!(count_of_the_saga(&data), fixture.told["head"], "{:?}", fixture.folder);
        for (path, answer) in fixture.told["answers"].as_object().unwrap() {
            says(&server.get_ok(path).await, answer, path);
        }
        is_repeated(&server, &fixture.told["repeated"]).await;
        is_imported_already(&data);
        assert_eq!(count_of_the_saga(&data), fixture.told["head"], "something was recorded again");

        let parked = data.run_ok(&["parked", "list", "--json"]);
        let parked: Vec<Value> =
            parked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        says(&Value::from(parked), &fixture.told["parked"], "parked");
        for subscription in fixture.told["parked"].as_array().unwrap() {
            let subscription = subscription["subscription"].as_str().unwrap();
            data.run_ok(&["parked", "replay", subscription, "--all"]);
        }
        data.run_ok(&["projections", "verify", "--all"]);

        // It goes on from there.
        let customer = server.register_customer("hedy@exemple.fr").await;
        let order = server.place_order(&customer, "sandbox:ok").await;
        server.order_is(&order, "confirmed").await;
    }
}

/// Checks that an answer has everything that was answered before. It may say more: the API grows.
#[track_caller]
fn says(answer: &Value, before: &Value, place: &str) {
    match (answer, before) {
        (Value::Object(answer), Value::Object(before)) => {
            for (member, before) in before {
                let answer = answer.get(member).unwrap_or(&Value::Null);
                says(answer, before, &format!("{place} {member}"));
            }
        }
        (Value::Array(answer), Value::Array(before)) => {
            assert_eq!(answer.len(), before.len(), "{place}: {answer:?}");
            for (number, (answer, before)) in answer.iter().zip(before).enumerate() {
                says(answer, before, &format!("{place} {number}"));
            }
        }
        _ => assert_eq!(answer, before, "{place}"),
    }
}

/// A request with the same `Idempotency-Key` as before.
async fn is_repeated(server: &Server, repeated: &Value) {
    let text = |member: &str| repeated[member].as_str().unwrap();
    let request = server.request(Method::POST, text("path")).header("Idempotency-Key", text("key"));
    let request = request.header("Content-Type", "application/json");
    let answer = request.body(text("body").to_owned()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    says(&answer.json().await.unwrap(), &repeated["answer"], text("path"));
}

/// The feed whose changes were imported before.
fn is_imported_already(data: &Data) {
    let gescom = Path::new(ROOT).join("docs/examples/gescom");
    let (mapping, feed) = (path(&gescom, "mapping.toml"), path(&gescom, "feed.jsonl"));
    data.run_ok(&["import", "--mapping", &mapping, "--format", "debezium", &feed]);
}

/// The migrations of each database of a store, by version.
fn migrations(engine: Engine) -> BTreeMap<String, BTreeMap<u64, PathBuf>> {
    let mut found: BTreeMap<String, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    let mut folders = vec![Path::new(ROOT).join("migrations").join(name(engine))];
    while let Some(folder) = folders.pop() {
        let database = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let version = path.file_name().unwrap().to_str().unwrap().split('_').next().unwrap();
            let version = version.parse().unwrap();
            found.entry(database.clone()).or_default().insert(version, path);
        }
    }
    found
}

#[rstest]
fn every_further_migration_has_a_store_from_right_before_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixtures = Fixture::all(engine);
    for (folder, migrations) in migrations(engine) {
        // Every module's database has what is in `database`.
        let database = if folder == "database" { "orders" } else { &folder };
        for (version, file) in migrations.iter().skip(1) {
            let earlier: BTreeSet<u64> =
                migrations.range(..version).map(|(version, _)| *version).collect();
            let is_right_before = |one: &Fixture| {
                let applied = one.migrations(database);
                applied.is_superset(&earlier) && !applied.contains(version)
            };
            assert!(
                fixtures.iter().any(is_right_before),
                "no fixture is from right before {}: go back to the commit before the migration, and \
                 run scripts/make-schema-fixture.py there",
                file.display()
            );
        }
    }
}
