//! Fake modules that record the states they receive, and imports into them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use database::{Engine, Statement};
use futures::TryStreamExt as _;
use kernel::keys::SecretKey;
use kernel::sync::{LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget};
use serde_json::Value;
use tempfile::TempDir;
use testkit::engines::TestTables;
use tokio_util::sync::CancellationToken;

use super::super::*;

pub(super) const COMMANDS: [&str; 4] =
    ["customers.SyncCustomer", "orders.SyncOrder", "billing.SyncInvoice", "payments.SyncPayment"];

/// What a module holds of one aggregate: its legacy key, and its state or why it is absent.
pub(super) type Held = BTreeMap<String, Result<Value, String>>;

/// A module that keeps the last state of each aggregate it was told to be there.
pub(super) struct Module {
    command: &'static str,
    pub(super) held: Mutex<Held>,
    pub(super) told: Mutex<Vec<SyncRequest>>,
    /// How many commands fail before one succeeds.
    pub(super) failing: Mutex<usize>,
    cancel: Mutex<Option<(usize, CancellationToken)>>,
    pub(super) refuse: Mutex<Option<String>>,
    busy: Mutex<BTreeSet<String>>,
    /// The states each aggregate went through, one after the other.
    went: Mutex<BTreeMap<String, Vec<Result<Value, String>>>>,
    fuse: Arc<Mutex<Option<Fuse>>>,
}

/// Where in the course of a command a crash comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the module records anything.
    Before,
    /// The module recorded it, and never answers.
    Recorded,
    /// The module answered; nothing is done with the answer.
    Answered,
}

/// A crash to come: after it no module does or answers anything.
pub(super) struct Fuse {
    /// How many commands are recorded before the one at which it happens.
    left: usize,
    moment: Moment,
    crashed: CancellationToken,
}

/// A crash happens, or has happened.
async fn crash(crashed: &CancellationToken) {
    crashed.cancel();
    std::future::pending().await
}

/// A command being carried out, until it is done or given up.
struct Busy<'m>(&'m Mutex<BTreeSet<String>>, String);

impl<'m> Busy<'m> {
    fn with(busy: &'m Mutex<BTreeSet<String>>, key: &str) -> Self {
        assert!(busy.lock().unwrap().insert(key.to_owned()), "two commands of {key} at once");
        Self(busy, key.to_owned())
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

#[async_trait]
impl SyncTarget for Module {
    fn command(&self) -> &'static str {
        self.command
    }

    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError> {
        let key = request.legacy.id.clone();
        let busy = Busy::with(&self.busy, &key);
        tokio::task::yield_now().await;
        drop(busy);
        self.unless_crashed().await;
        if self.refuse.lock().unwrap().as_deref() == Some(key.as_str()) {
            return Err(SyncError::NotUnderstood("refused by the test".to_owned()));
        }
        let failing = *self.failing.lock().unwrap();
        if let Some(left) = failing.checked_sub(1) {
            *self.failing.lock().unwrap() = left;
            return Err(SyncError::Failed("the store is away".into()));
        }
        {
            let mut told = self.told.lock().unwrap();
            told.push(request.clone());
            if let Some((after, cancel)) = &*self.cancel.lock().unwrap()
                && told.len() >= *after
            {
                cancel.cancel();
            }
        }
        let new = match request.state {
            LegacyState::Present(state) => Ok(state),
            LegacyState::Absent { reason } => Err(reason),
        };
        let outcome = match (self.held.lock().unwrap().get(&key), &new) {
            (None, Err(_)) => return Ok(SyncOutcome::Ignored),
            (Some(known), _) if *known == new => return Ok(SyncOutcome::Unchanged),
            (None, Ok(_)) => SyncOutcome::Imported,
            (Some(_), _) => SyncOutcome::Revised(vec!["state".to_owned()]),
        };
        let (moment, crashed) = self.burn();
        if moment == Some(Moment::Before) {
            crash(&crashed).await;
        }
        self.held.lock().unwrap().insert(key.clone(), new.clone());
        self.went.lock().unwrap().entry(key).or_default().push(new);
        match moment {
            Some(Moment::Recorded) => crash(&crashed).await,
            Some(_) => crashed.cancel(),
            None => {}
        }
        Ok(outcome)
    }
}

impl Module {
    /// One command more is about to be recorded: whether that is where the crash comes.
    fn burn(&self) -> (Option<Moment>, CancellationToken) {
        let mut fuse = self.fuse.lock().unwrap();
        let Some(fuse) = &mut *fuse else { return (None, CancellationToken::new()) };
        let left = fuse.left.checked_sub(1);
        fuse.left = left.unwrap_or_default();
        (left.is_none().then_some(fuse.moment), fuse.crashed.clone())
    }

    /// Waits for ever once the crash has come.
    async fn unless_crashed(&self) {
        let crashed = self.fuse.lock().unwrap().as_ref().map(|fuse| fuse.crashed.clone());
        if let Some(crashed) = crashed.filter(CancellationToken::is_cancelled) {
            crash(&crashed).await;
        }
    }
}

/// Modules, a mirror and a mapping.
pub(super) struct World {
    /// For the files to import.
    pub(super) folder: TempDir,
    mirror: TestTables,
    pub(super) modules: HashMap<&'static str, Arc<Module>>,
    mapping: Arc<Mapping>,
    pub(super) key: SecretKey,
    pub(super) sizes: Sizes,
}

impl World {
    /// A world whose mirror is on SQLite.
    pub(super) async fn new(mapping: &str) -> Self {
        Self::on(Engine::Sqlite, mapping).await
    }

    pub(super) async fn on(engine: Engine, mapping: &str) -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            mirror: TestTables::on(engine).await,
            modules: HashMap::new(),
            mapping: Arc::new(parse(mapping)),
            key: SecretKey::generate().unwrap(),
            sizes: Sizes::default(),
        };
        let fuse = Arc::new(Mutex::new(None));
        for command in COMMANDS {
            let module = Module {
                command,
                held: Mutex::default(),
                told: Mutex::default(),
                failing: Mutex::default(),
                cancel: Mutex::default(),
                refuse: Mutex::default(),
                busy: Mutex::default(),
                went: Mutex::default(),
                fuse: fuse.clone(),
            };
            world.modules.insert(command, Arc::new(module));
        }
        world
    }

    pub(super) async fn tryton(engine: Engine) -> Self {
        let mapping = from_the_crate("../../docs/examples/tryton/mapping.toml");
        Self::on(engine, &std::fs::read_to_string(mapping).unwrap()).await
    }

    pub(super) fn remap(&mut self, mapping: &str) {
        self.mapping = Arc::new(parse(mapping));
    }

    pub(super) async fn import(&self) -> Import {
        let database = Import::open_database(self.mirror.url()).await.unwrap();
        let targets = self.modules.iter().map(|(command, module)| {
            ((*command).to_owned(), module.clone() as Arc<dyn SyncTarget>)
        });
        let targets = targets.collect();
        let mapping = self.mapping.clone();
        let mut import = Import::new(mapping, database, self.key.clone(), &targets).unwrap();
        import.sizes = self.sizes;
        import
    }

    /// Everything that is in the mirror's database.
    pub(super) async fn stored(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(path) = database::sqlite_path(self.mirror.url()) {
            for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
                bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
            }
            return bytes;
        }
        let database = Import::open_database(self.mirror.url()).await.unwrap();
        let mut reading = database.snapshot().await.unwrap();
        let tables = Statement::Same(
            "SELECT CAST(tablename AS text) FROM pg_tables \
             WHERE schemaname = current_schema() AND tablename <> '_sqlx_migrations'",
        );
        let tables: Vec<String> = reading.query(&tables).scalars().await.unwrap();
        for table in tables {
            let rows: Vec<_> = reading.rows_of(&table).await.unwrap().try_collect().await.unwrap();
            bytes.extend(rows.into_iter().flat_map(|row| row.values.into_bytes()));
        }
        bytes
    }

    pub(super) async fn try_run(&self, files: &[&Path]) -> Result<Summary, ImportError> {
        self.run_with(files, Options::default(), &CancellationToken::new()).await
    }

    pub(super) async fn run(&self, files: &[&Path]) -> Summary {
        self.try_run(files).await.unwrap()
    }

    pub(super) async fn run_with(
        &self,
        files: &[&Path],
        options: Options,
        cancel: &CancellationToken,
    ) -> Result<Summary, ImportError> {
        let files: Vec<PathBuf> = files.iter().map(|file| file.to_path_buf()).collect();
        self.import().await.run(&files, options, &NoProgress, cancel).await
    }

    /// Cancels a token when a module was told so many states more.
    pub(super) fn kill_after(&self, command: &str, told: usize, cancel: &CancellationToken) {
        let module = &self.modules[command];
        let so_far = module.told.lock().unwrap().len();
        *module.cancel.lock().unwrap() = Some((so_far + told, cancel.clone()));
    }

    /// Cancels the run when a module was told so many states.
    pub(super) async fn run_until(&self, command: &str, told: usize, files: &[&Path]) -> Summary {
        let cancel = CancellationToken::new();
        self.kill_after(command, told, &cancel);
        let summary = self.run_with(files, Options::default(), &cancel).await.unwrap();
        *self.modules[command].cancel.lock().unwrap() = None;
        summary
    }

    /// Runs until the process crashes after so many commands, at a moment of the next one;
    /// whether it came to that. What the process had in memory is lost; what it had written and
    /// what the modules recorded stays.
    pub(super) async fn run_and_crash(
        &self,
        files: &[PathBuf],
        commands: usize,
        moment: Moment,
    ) -> bool {
        let crashed = CancellationToken::new();
        let fuse = Fuse { left: commands, moment, crashed: crashed.clone() };
        let shared = self.modules[COMMANDS[0]].fuse.clone();
        *shared.lock().unwrap() = Some(fuse);
        let import = self.import().await;
        let never = CancellationToken::new();
        tokio::select! {
            biased;
            () = crashed.cancelled() => {}
            result = import.run(files, Options::default(), &NoProgress, &never) => {
                result.unwrap();
            }
        }
        import.database.close().await;
        *shared.lock().unwrap() = None;
        crashed.is_cancelled()
    }

    /// The states each aggregate of every module went through, in their order.
    pub(super) fn went(&self) -> BTreeMap<(&'static str, String), Vec<Result<Value, String>>> {
        let of = |(command, module): (&&'static str, &Arc<Module>)| {
            let went = module.went.lock().unwrap().clone();
            let command = *command;
            went.into_iter().map(move |(key, states)| ((command, key), states)).collect::<Vec<_>>()
        };
        self.modules.iter().flat_map(of).collect()
    }

    pub(super) fn held(&self, command: &str) -> Held {
        self.modules[command].held.lock().unwrap().clone()
    }

    pub(super) fn told(&self, command: &str) -> Vec<SyncRequest> {
        self.modules[command].told.lock().unwrap().clone()
    }

    /// The states of the aggregates that are there, of every module: what an import leads to.
    ///
    /// An aggregate that came and went is left out: whether it was seen in between depends on
    /// the order of the records.
    pub(super) fn outcome(&self) -> BTreeMap<(&'static str, String), Value> {
        let mut outcome = BTreeMap::new();
        for (command, module) in &self.modules {
            for (key, held) in &*module.held.lock().unwrap() {
                if let Ok(state) = held {
                    outcome.insert((*command, key.clone()), state.clone());
                }
            }
        }
        outcome
    }

    pub(super) fn write(&self, name: &str, lines: &[impl AsRef<str>]) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        for line in lines {
            writeln!(file, "{}", line.as_ref()).unwrap();
        }
        file.flush().unwrap();
        path
    }
}

fn parse(mapping: &str) -> Mapping {
    let commands = COMMANDS.map(str::to_owned).into();
    Mapping::parse(mapping, &commands).unwrap()
}

pub(super) fn from_the_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(super) fn feed() -> PathBuf {
    from_the_crate("../../tests/data/tryton-small.jsonl.gz")
}

/// The lines of the recorded feed.
pub(super) fn feed_lines() -> Vec<String> {
    let mut text = String::new();
    let file = std::fs::File::open(feed()).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The modules after the whole recorded feed, imported in one go.
pub(super) async fn whole_feed() -> World {
    whole_feed_on(Engine::Sqlite).await
}

pub(super) async fn whole_feed_on(engine: Engine) -> World {
    let world = World::tryton(engine).await;
    let summary = world.run(&[&feed()]).await;
    assert_eq!(summary.quarantined, 0);
    assert_eq!(summary.dirty, 0);
    world
}
