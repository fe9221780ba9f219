//! Connections to the file for the events. They use rusqlite: a page of a thousand events, or a group
//! of appends, is one unit of work on a blocking thread, where sqlx would send every row and every
//! statement to a thread of its own and back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::store::ReadError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::interning::Interner;

const READERS: u32 = 4;
/// How long a connection waits for a write of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of pages of 4 KiB in the write-ahead log before the writer copies them into the file. At
/// SQLite's default of 1 000 one group in fifty would wait for that; a page that changes often is also
/// copied less often.
const CHECKPOINT_PAGES: i64 = 4000;

/// Opens the connection that writes. A commit is durable when it returns.
pub(super) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}

/// A connection that reads.
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) texts: Interner,
}

impl Reader {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(Self { connection, texts: Interner::default() })
    }
}

/// The connections that read, each for one read at a time. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Reader>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path: Arc::new(path),
            idle: Arc::default(),
            places: Arc::new(Semaphore::new(READERS as usize)),
        }
    }

    /// Reads on a blocking thread, as soon as a connection is free.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place =
            place.map_err(|_| ReadError::Unavailable("the event store is closed".into()))?;
        let readers = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // The caller may be gone by now: the connection is taken until the read ends all the same.
            let _place = place;
            let idle = readers.idle().pop();
            let mut reader = match idle {
                Some(reader) => reader,
                None => Reader::open(&readers.path).map_err(unavailable)?,
            };
            let result = read(&mut reader);
            if !matches!(result, Err(ReadError::Unavailable(_))) {
                readers.idle().push(reader);
            }
            result
        });
        reading.await.unwrap_or_else(|error| Err(ReadError::Unavailable(error.into())))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for reads in progress and closes every connection; later reads fail.
    pub(super) async fn close(&self) {
        // Acquiring only fails if the semaphore is closed, which happens only here.
        drop(self.places.acquire_many(READERS).await);
        self.places.close();
        self.idle().clear();
    }
}

pub(super) fn unavailable(error: rusqlite::Error) -> ReadError {
    ReadError::Unavailable(error.into())
}
