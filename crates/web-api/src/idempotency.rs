//! `Idempotency-Key`: a command that is sent twice is executed once.
//!
//! Ids of aggregates and events derive from principal and key, so that the log itself recognises a
//! repetition. The database additionally stores the request's fingerprint, the status and the
//! resource's id, but nothing of the body. It answers a repetition without executing it, and detects
//! another request with the same key (422). Keys are stored per module, for [`REMEMBERED`].

use std::future::{Ready, ready};

use actix_web::dev::Payload as Stream;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use chrono::{DateTime, TimeDelta, Utc};
use database::{Database, DatabaseError, Row, Statement};
use kernel::event::{Position, StreamName};
use kernel::execution::{Cause, Environment, Executed, ExpectedAt};
use kernel::outage::Outage;
use kernel::seams::new_id;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::answer::Done;
use crate::conditions::if_match;
use crate::context::RequestContext;
use crate::json::Payload;
use crate::parameters::{invalid_header, single_header};
use crate::problem::Problem;

/// The header.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// How long keys are stored.
pub const REMEMBERED: TimeDelta = TimeDelta::days(7);

const LONGEST_KEY: usize = 255;

/// The UUID namespace of the ids that derive from keys (RFC 9562 §5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5d0c_51b6_97d3_4b8e_9f6b_2d27_c1d4_0a6e);

database::statements! {
    /// Every statement of this file.
    pub const STATEMENTS: [Statement];

    const INSERT: Statement = Statement::Same(
        "INSERT INTO idempotency (key_hash, fingerprint, created_at) \
         VALUES ($1, $2, $3) ON CONFLICT (key_hash) DO NOTHING",
    );
    const FIND: Statement = Statement::Same(
        "SELECT fingerprint, status, resource_id, position, event_id FROM idempotency \
         WHERE key_hash = $1",
    );
    const FINISH: Statement = Statement::Same(
        "UPDATE idempotency SET status = $2, resource_id = $3, position = $4, event_id = $5 \
         WHERE key_hash = $1",
    );
    const PRUNE: Statement = Statement::Same("DELETE FROM idempotency WHERE created_at < $1");

    const FORGET: Statement = Statement::PerEngine {
        sqlite: "DELETE FROM idempotency WHERE resource_id IS NULL OR resource_id IN \
                 (SELECT unhex(atom, '-') FROM json_each($1))",
        postgres: "DELETE FROM idempotency WHERE resource_id IS NULL OR resource_id IN \
                   (SELECT CAST(atom AS uuid) FROM json_each($1))",
    };

    const AFTER: Statement = Statement::Same(
        "SELECT key_hash, fingerprint, status, resource_id, position, event_id, created_at \
         FROM idempotency \
         WHERE key_hash > $1 ORDER BY key_hash LIMIT $2",
    );
    const PUT: Statement = Statement::Same(
        "INSERT INTO idempotency \
         (key_hash, fingerprint, status, resource_id, position, event_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key_hash) DO UPDATE SET \
         status = coalesce(idempotency.status, excluded.status), \
         resource_id = coalesce(idempotency.resource_id, excluded.resource_id), \
         position = coalesce(idempotency.position, excluded.position), \
         event_id = coalesce(idempotency.event_id, excluded.event_id)",
    );
}

static FORGOTTEN: Outage = Outage::new(
    "idempotency_outcomes_unstored",
    "outcomes of requests with an Idempotency-Key cannot be stored",
);

/// A request that changes something. An extractor.
#[derive(Debug, Clone)]
pub struct CommandRequest {
    /// The request's context.
    pub context: RequestContext,
    key: Option<String>,
    if_match: Option<ExpectedAt>,
    method: String,
    path: String,
}

/// One attempt to execute a command.
#[derive(Debug, Clone)]
pub struct Attempt {
    seed: Option<Uuid>,
    category: &'static str,
    cause: Cause,
}

impl Attempt {
    /// Returns the id of the aggregate that the command creates: the same for every attempt.
    pub fn new_id(&self) -> Uuid {
        self.new_id_of(self.category)
    }

    /// Returns the id of a further aggregate that the command creates, of another category.
    pub fn new_id_of(&self, category: &str) -> Uuid {
        self.seed.map_or_else(new_id, |seed| Uuid::new_v5(&seed, category.as_bytes()))
    }

    /// Returns the cause of the events. With a key, their ids are the same for every attempt.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

/// Executes the commands of one kind of resource: the data of its handlers.
pub trait CarriesOut {
    /// The category of the resource's stream.
    const CATEGORY: &'static str;
    /// Returns the module's database, which stores the outcomes of requests.
    fn database(&self) -> &Database;
    /// Returns the environment of the module's commands.
    fn environment(&self) -> &Environment;
}

/// The stored part of a request: enough to recognise it.
struct Kept {
    key_hash: Vec<u8>,
    fingerprint: Vec<u8>,
}

/// The stored state of a request's key.
enum Recognised {
    /// Not executed, as far as is known.
    New,
    /// Executed, with this outcome.
    Done { status: StatusCode, id: Uuid },
}

impl CommandRequest {
    /// Returns the revisions that the caller expects (`If-Match`), `None` if any is accepted.
    pub fn if_match(&self) -> Option<ExpectedAt> {
        self.if_match.clone()
    }

    /// Creates a resource, once per key. Returns 201 with the id that `create` returns, in the
    /// collection of the request path.
    pub async fn create<C: CarriesOut, I: Into<Uuid>, F>(
        &self,
        module: &C,
        payload: Payload,
        create: F,
    ) -> Result<Done, Problem>
    where
        F: AsyncFnOnce(Attempt) -> Result<(I, Executed), Problem>,
    {
        let (database, environment) = (module.database(), module.environment());
        let carry_out = async |attempt| {
            let (id, executed) = create(attempt).await?;
            Ok(Done::created(id.into(), executed))
        };
        self.once(database, environment, C::CATEGORY, payload, carry_out).await
    }

    /// Changes a resource, once per key, at the revisions that the caller expects. Returns 200 with its id.
    pub async fn change<C: CarriesOut, F>(
        &self,
        module: &C,
        id: impl Into<Uuid>,
        payload: Payload,
        change: F,
    ) -> Result<Done, Problem>
    where
        F: AsyncFnOnce(Attempt, Option<ExpectedAt>) -> Result<Executed, Problem>,
    {
        let (database, environment) = (module.database(), module.environment());
        let id = id.into();
        let carry_out = async |attempt| {
            let executed = change(attempt, self.if_match()).await?;
            Ok(Done::changed(id, executed))
        };
        self.once(database, environment, C::CATEGORY, payload, carry_out).await
    }

    /// Executes a command once per key; used by [`CommandRequest::create`] and
    /// [`CommandRequest::change`].
    ///
    /// `category` is that of the resource's stream. A failed or interrupted attempt may be repeated
    /// with the same key: the log recognises the part that was already recorded.
    pub async fn once<F>(
        &self,
        database: &Database,
        environment: &Environment,
        category: &'static str,
        payload: Payload,
        carry_out: F,
    ) -> Result<Done, Problem>
    where
        F: AsyncFnOnce(Attempt) -> Result<Done, Problem>,
    {
        let cause = self.context.cause();
        let Some(key) = &self.key else {
            return carry_out(Attempt { seed: None, category, cause }).await;
        };
        let kept = self.kept(environment, key, &payload);
        if let Recognised::Done { status, id } = kept.recognise(database, environment).await? {
            return replay(environment, category, status, id).await;
        }
        let seed = Uuid::new_v5(&NAMESPACE, &kept.key_hash);
        // The fingerprint is part of the name, so that events of another request with the same key
        // never match, even if the row is lost.
        let cause = cause.recognised_by(seed, hex::encode(&kept.fingerprint));
        let done = carry_out(Attempt { seed: Some(seed), category, cause }).await?;
        if let Err(error) = kept.finish(database, &done).await {
            // The command was executed, and the log recognises it.
            FORGOTTEN.occurs("", &error);
        } else {
            FORGOTTEN.ends_if_quiet();
        }
        Ok(done)
    }

    fn kept(&self, environment: &Environment, key: &str, Payload(bytes): &Payload) -> Kept {
        let digest = |purpose, text: String| environment.lookup_key.digest(purpose, &text).to_vec();
        let body = String::from_utf8_lossy(bytes);
        Kept {
            key_hash: digest("idempotency key", format!("{}\n{key}", self.context.principal)),
            fingerprint: digest(
                "idempotency fingerprint",
                format!("{} {}\n{body}", self.method, self.path),
            ),
        }
    }
}

impl Kept {
    /// Stores the request, or returns its stored outcome.
    async fn recognise(
        &self,
        database: &Database,
        environment: &Environment,
    ) -> Result<Recognised, Problem> {
        let inserted = database
            .write(&INSERT)
            .bind(&self.key_hash)
            .bind(&self.fingerprint)
            .bind(environment.clock.now())
            .execute()
            .await?;
        if inserted == 1 {
            return Ok(Recognised::New);
        }
        let Some(row) = database.query(&FIND).bind(&self.key_hash).fetch_optional().await? else {
            // The row was removed between the two statements.
            return Ok(Recognised::New);
        };
        let fingerprint: &[u8] = row.get("fingerprint")?;
        if fingerprint != self.fingerprint {
            return Err(Problem::idempotency_mismatch());
        }
        let status: Option<i64> = row.get("status")?;
        let status = status.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
        let Some((status, id)) = status.zip(row.get("resource_id")?) else {
            // In progress at this moment, or interrupted.
            return Ok(Recognised::New);
        };
        // The response's position is in the log, unless the log was restored to an earlier state
        // since.
        let position: Option<i64> = row.get("position")?;
        let there = environment.store.event_id_at(position.unwrap_or(0).cast_unsigned()).await?;
        let is_there = there == row.get("event_id")?;
        Ok(if is_there { Recognised::Done { status, id } } else { Recognised::New })
    }

    async fn finish(&self, database: &Database, done: &Done) -> Result<(), DatabaseError> {
        database
            .write(&FINISH)
            .bind(&self.key_hash)
            .bind(i64::from(done.status.as_u16()))
            .bind(done.acknowledgement.id)
            .bind(done.position.cast_signed())
            .bind(done.event_id)
            .execute()
            .await?;
        Ok(())
    }
}

/// Returns the response to a repetition: the stored status and id, and the resource's current
/// revision.
async fn replay(
    environment: &Environment,
    category: &'static str,
    status: StatusCode,
    id: Uuid,
) -> Result<Done, Problem> {
    let last = environment.store.read_last(&StreamName::of(category, id)).await?;
    let executed = Executed {
        revision: last.as_ref().map(|event| event.revision),
        position: last.as_ref().map_or(0, |event| event.position),
        event_id: last.as_ref().map(|event| event.id),
        recorded: false,
    };
    let done = if status == StatusCode::CREATED {
        Done::created(id, executed)
    } else {
        Done::changed(id, executed)
    };
    Ok(Done { is_replay: true, ..done })
}

/// Removes keys older than a time and returns their number. The composition root calls it
/// periodically with the time [`REMEMBERED`] ago.
pub async fn prune(database: &Database, older_than: DateTime<Utc>) -> Result<u64, DatabaseError> {
    database.write(&PRUNE).bind(older_than).execute().await
}

/// Removes the stored requests of these resources after the erasure of their data subject: a
/// fingerprint is a digest of personal data. Also removes all refused and interrupted requests,
/// because their data subject is unknown. The database no longer recognises a removed key when it is
/// used again; the log still does.
pub async fn forget(database: &Database, resources: &[Uuid]) -> Result<(), DatabaseError> {
    database.write(&FORGET).bind_json(resources).execute().await?;
    Ok(())
}

/// A stored request with a key, as transferred when a module moves to another database. It contains
/// digests only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRequest {
    /// Digest of the key and the principal, in hexadecimal digits.
    pub key: String,
    /// Digest of the request, in hexadecimal digits.
    pub fingerprint: String,
    /// The response status, once executed.
    pub status: Option<u16>,
    /// The resource that was created or changed.
    pub resource_id: Option<Uuid>,
    /// The log position in the response.
    pub position: Option<Position>,
    /// The event at that position.
    pub event_id: Option<Uuid>,
    /// When the request arrived.
    pub created_at: DateTime<Utc>,
}

/// Returns up to `limit` stored requests after a key, ordered by key.
pub async fn kept_after(
    database: &Database,
    key: &[u8],
    limit: u16,
) -> Result<Vec<KeptRequest>, DatabaseError> {
    let rows = database.query(&AFTER).bind(key).bind(i64::from(limit)).fetch_all().await?;
    let kept = |row: &Row| {
        let status: Option<i64> = row.get("status")?;
        Ok(KeptRequest {
            key: hex::encode(row.get::<&[u8]>("key_hash")?),
            fingerprint: hex::encode(row.get::<&[u8]>("fingerprint")?),
            status: status.and_then(|status| status.try_into().ok()),
            resource_id: row.get("resource_id")?,
            position: row.get::<Option<i64>>("position")?.map(i64::cast_unsigned),
            event_id: row.get("event_id")?,
            created_at: row.get("created_at")?,
        })
    };
    rows.iter().map(kept).collect()
}

/// Why transferred requests were not stored.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The database rejected them.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A digest is not valid hexadecimal.
    #[error("`{0}` is not a digest in hexadecimal digits")]
    NoDigest(String),
}

/// Stores transferred requests. Existing rows stay; repeating the call changes nothing.
pub async fn take(database: &Database, requests: &[KeptRequest]) -> Result<(), TakeError> {
    let digest = |text: &String| hex::decode(text).map_err(|_| TakeError::NoDigest(text.clone()));
    let mut transaction = database.begin().await?;
    for request in requests {
        transaction
            .query(&PUT)
            .bind(digest(&request.key)?)
            .bind(digest(&request.fingerprint)?)
            .bind(request.status.map(i64::from))
            .bind(request.resource_id)
            .bind(request.position.map(Position::cast_signed))
            .bind(request.event_id)
            .bind(request.created_at)
            .execute()
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

impl FromRequest for CommandRequest {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Stream) -> Self::Future {
        ready(command_request(request))
    }
}

fn command_request(request: &HttpRequest) -> Result<CommandRequest, Problem> {
    let key = single_header(request.headers(), IDEMPOTENCY_KEY)?;
    let is_key = |key: &str| {
        (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if key.is_some_and(|key| !is_key(key)) {
        let message = "expected 1 to 255 visible ASCII characters";
        return Err(invalid_header(IDEMPOTENCY_KEY, "value", message));
    }
    let context = request.extensions().get::<RequestContext>().cloned();
    Ok(CommandRequest {
        context: context.unwrap_or_else(|| RequestContext::of(request.headers())),
        key: key.map(str::to_owned),
        if_match: if_match(request.headers())?,
        method: request.method().to_string(),
        path: request.uri().path_and_query().map_or(String::new(), ToString::to_string),
    })
}
