//! Recording of calls and responses, in memory and, for other processes to read, in a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Answer, Call, Moment, Operation};

/// Returns the current time.
fn now() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// A line of a file. The call is written before it is made: if the process is killed, the file shows an
/// operation with an unknown outcome.
#[derive(Serialize, Deserialize)]
enum Line {
    Called { number: usize, operation: Operation },
    Answered { number: usize, at: Moment, answer: Answer },
}

/// Records the operations of the clients of one process.
#[derive(Default)]
pub struct Recorder {
    notes: Mutex<Notes>,
    called: watch::Sender<usize>,
}

#[derive(Default)]
struct Notes {
    operations: Vec<Operation>,
    file: Option<File>,
}

impl Notes {
    fn write(&mut self, line: &Line) {
        if let Some(file) = &mut self.file {
            // One system call per line, so that a line is complete or missing.
            let text = serde_json::to_string(line).unwrap() + "\n";
            file.write_all(text.as_bytes()).unwrap();
        }
    }
}

impl Recorder {
    /// Records in memory and in a file.
    pub fn into_file(path: &Path) -> Self {
        let file = Some(File::create(path).unwrap());
        let notes = Mutex::new(Notes { operations: Vec::new(), file });
        Self { notes, called: watch::Sender::default() }
    }

    /// Executes an operation and records the times of the call and of the response. If dropped before
    /// the response, it is recorded without one.
    pub async fn note(
        &self,
        (store, client): (u64, u64),
        call: Call,
        doing: impl Future<Output = Answer>,
    ) -> Answer {
        let number = {
            let mut notes = self.notes.lock().unwrap();
            let number = notes.operations.len();
            // Under the lock and so before the call; waiting for the lock only widens the interval in
            // which the operation may have taken effect.
            let operation = Operation { store, client, called: now(), call, answered: None };
            notes.write(&Line::Called { number, operation: operation.clone() });
            notes.operations.push(operation);
            self.called.send_replace(number + 1);
            number
        };
        let answer = doing.await;
        let at = now();
        let mut notes = self.notes.lock().unwrap();
        notes.write(&Line::Answered { number, at, answer: answer.clone() });
        notes.operations[number].answered = Some((at, answer.clone()));
        answer
    }

    /// Waits until this many operations were called.
    pub async fn until(&self, operations: usize) {
        self.called.subscribe().wait_for(|called| *called >= operations).await.unwrap();
    }

    /// Returns the history so far.
    pub fn history(&self) -> Vec<Operation> {
        self.notes.lock().unwrap().operations.clone()
    }
}

/// Returns what another process wrote into a file.
pub fn read_lines(path: &Path) -> Vec<Operation> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut operations = Vec::new();
    let mut answers = HashMap::new();
    for line in text.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Called { operation, .. } => operations.push(operation),
            Line::Answered { number, at, answer } => drop(answers.insert(number, (at, answer))),
        }
    }
    for (number, operation) in operations.iter_mut().enumerate() {
        operation.answered = answers.remove(&number);
    }
    operations
}
