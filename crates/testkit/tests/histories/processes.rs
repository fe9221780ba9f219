//! Several processes on one store, one of them killed at work: this binary runs itself.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel::keys::SecretKey;
use kernel::seams::SystemClock;
use store_sqlx::{Opened, StoreOptions};
use testkit::history::{Recorder, Workload, read_all, read_lines};
use testkit::postgres::TestDatabase;
use testkit::random;

use crate::stores::assert_explained;

const URL: &str = "HISTORY_STORE";
const KEY: &str = "HISTORY_MASTER_KEY";
const FILE: &str = "HISTORY_FILE";
const PROCESS: &str = "HISTORY_PROCESS";
const SEED: &str = "HISTORY_SEED";
const READY: &str = "the process is ready";
const PATIENCE: Duration = Duration::from_secs(60);

async fn open(url: &str, key: &SecretKey) -> Opened {
    store_sqlx::open(url, key, Arc::new(SystemClock), StoreOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "what the processes of the tests below run"]
async fn one_of_several() {
    let variable = |name| std::env::var(name).unwrap();
    let key = SecretKey::from_hex(&variable(KEY)).unwrap();
    let opened = open(&variable(URL), &key).await;
    let recorder = Arc::new(Recorder::into_file(Path::new(&variable(FILE))));
    let (process, seed) = (variable(PROCESS).parse().unwrap(), variable(SEED).parse().unwrap());
    let workload = Workload { streams: 3, clients: 4, operations: 100, seed, process };
    println!("\n{READY}");
    // The others are to be there too.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    workload.run(std::slice::from_ref(&opened.store), &recorder).await;
    opened.close().await;
}

/// One of the processes; killed when it is dropped.
struct Process {
    child: Child,
    /// Open for as long as it may print.
    told: Lines<BufReader<ChildStdout>>,
    file: PathBuf,
}

impl Process {
    /// Starts it and waits until it has opened the store.
    fn start(number: u64, url: &str, key: &SecretKey, seed: u64, folder: &Path) -> Self {
        let file = folder.join(format!("process-{number}.jsonl"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::one_of_several", "--ignored", "--nocapture"])
            .env(URL, url)
            .env(KEY, key.to_hex())
            .env(FILE, &file)
            .env(PROCESS, number.to_string())
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, told, file };
        let ready = process.told.any(|line| line.unwrap() == READY);
        assert!(ready, "process {number} ended before it was ready");
        process
    }

    fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(&self.file).map_or(0, |text| text.lines().count())
    }

    /// Kills it when it has done a part of its work.
    fn kill_at_work(&mut self) {
        let begun = Instant::now();
        while self.lines() < 100 {
            assert!(begun.elapsed() < PATIENCE, "it does not get on");
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success());
    }

    fn wait(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Three processes begin at once; the third is killed and a fourth takes its place.
async fn check(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let seed = random::seed();
    let opened = open(url, &key).await;
    let mut processes: Vec<Process> =
        (1..=3).map(|number| Process::start(number, url, &key, seed, folder.path())).collect();
    for process in &mut processes {
        process.go();
    }
    processes[2].kill_at_work();
    let mut fourth = Process::start(4, url, &key, seed, folder.path());
    fourth.go();
    for process in processes[..2].iter_mut().chain([&mut fourth]) {
        process.wait();
    }
    let log = read_all(&opened.store).await;
    opened.close().await;
    processes.push(fourth);
    let history: Vec<_> = processes.iter().flat_map(|process| read_lines(&process.file)).collect();
    assert!(history.len() > 3 * 4 * 90);
    let overlap = |one: &Process, other: &Process| {
        let times = |process: &Process| {
            let called: Vec<_> =
                read_lines(&process.file).iter().map(|operation| operation.called).collect();
            (called[0], *called.last().unwrap())
        };
        let ((one_begun, one_ended), (other_begun, other_ended)) = (times(one), times(other));
        one_begun < other_ended && other_begun < one_ended
    };
    assert!(overlap(&processes[0], &processes[1]) && overlap(&processes[1], &processes[2]));
    let tally = assert_explained(&history, &log, seed);
    assert!(tally.unknown > 0, "nothing was cut off: {tally:?}");
    assert_eq!(tally.refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_on_one_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    check(&format!("sqlite:{}", folder.path().join("log.db").display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_on_one_postgres_database() {
    let database = TestDatabase::create().await;
    check(database.url()).await;
}
