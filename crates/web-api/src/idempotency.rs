//! `Idempotency-Key`: a command that is sent twice is carried out once.
//!
//! Ids of aggregates and events derive from principal and key, so that the log itself recognises a
//! repetition. What is kept beside is the request's fingerprint, the status and the resource's id;
//! nothing of its body. It answers a repetition without work, and tells another request with the
//! same key (422). Keys are remembered per module, for [`REMEMBERED`].

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

/// How long keys are remembered.
pub const REMEMBERED: TimeDelta = TimeDelta::days(7);

const LONGEST_KEY: usize = 255;

/// The namespace of the ids that derive from keys (RFC 9562 §5.5).
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

static FORGOTTEN: Outage = Outage::new("outcomes of requests with an Idempotency-Key are not kept");

/// A request to change something. An extractor.
#[derive(Debug, Clone)]
pub struct CommandRequest {
    /// Who asks, and in the course of what.
    pub context: RequestContext,
    key: Option<String>,
    if_match: Option<ExpectedAt>,
    method: String,
    path: String,
}

/// One try to carry out a command.
#[derive(Debug, Clone)]
pub struct Attempt {
    seed: Option<Uuid>,
    category: &'static str,
    cause: Cause,
}

impl Attempt {
    /// The id of the aggregate that the command creates: the same at every try.
    pub fn new_id(&self) -> Uuid {
        self.new_id_of(self.category)
    }

    /// The id of a further aggregate that the command creates, of another category.
    pub fn new_id_of(&self, category: &str) -> Uuid {
        self.seed.map_or_else(new_id, |seed| Uuid::new_v5(&seed, category.as_bytes()))
    }

    /// Why the events happen. With a key, their ids are the same at every try.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

/// What carries out the commands of one kind of resource: the data of its handlers.
pub trait CarriesOut {
    /// The category of the resource's stream.
    const CATEGORY: &'static str;
    /// Returns the module's database, which keeps the outcomes of requests.
    fn database(&self) -> &Database;
    /// Returns what the module's commands work with.
    fn environment(&self) -> &Environment;
}

/// What is kept of a request: enough to recognise it.
struct Kept {
    key_hash: Vec<u8>,
    fingerprint: Vec<u8>,
}

/// What a request's key says of it.
enum Recognised {
    /// Not carried out as far as is known.
    New,
    /// Carried out, with this outcome.
    Done { status: StatusCode, id: Uuid },
}

impl CommandRequest {
    /// The revisions the caller expects (`If-Match`), `None` when any will do.
    pub fn if_match(&self) -> Option<ExpectedAt> {
        self.if_match.clone()
    }

    /// Creates a resource, once per key. Returns 201 with the id that `create` names, within the
    /// collection that was posted to.
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

    /// Carries a command out once per key; [`CommandRequest::create`] and [`CommandRequest::change`] call
    /// it.
    ///
    /// `category` is that of the resource's stream. A try that fails or is cut off may be repeated
    /// with the same key: whatever part of it reached the log is recognised there.
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
        // With the fingerprint in their name, the events of another request are never taken for
        // these, even when the row is lost.
        let cause = cause.recognised_by(seed, hex::encode(&kept.fingerprint));
        let done = carry_out(Attempt { seed: Some(seed), category, cause }).await?;
        if let Err(error) = kept.finish(database, &done).await {
            // The command was carried out, and the log recognises it.
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
    /// Remembers the request, or finds what became of it.
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
            // Forgotten between the two statements.
            return Ok(Recognised::New);
        };
        let fingerprint: &[u8] = row.get("fingerprint")?;
        if fingerprint != self.fingerprint {
            return Err(Problem::idempotency_mismatch());
        }
        let status: Option<i64> = row.get("status")?;
        let status = status.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
        let Some((status, id)) = status.zip(row.get("resource_id")?) else {
            // Under way at this moment, or cut off.
            return Ok(Recognised::New);
        };
        // What was answered stands in the log, unless that was restored to an earlier state since.
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

/// The answer to a repetition: the kept status and id, and the resource's revision as it is now.
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

/// Forgets keys older than a time; how many. The composition root calls it now and then with
/// [`REMEMBERED`] before now.
pub async fn prune(database: &Database, older_than: DateTime<Utc>) -> Result<u64, DatabaseError> {
    database.write(&PRUNE).bind(older_than).execute().await
}

/// Forgets what was asked about these resources, because the person they are about was erased: a
/// fingerprint is a digest of what was said. With them goes whatever was refused or cut off, for
/// which nobody can tell whom it was about. A key that is used again is no longer recognised here,
/// but by the log.
pub async fn forget(database: &Database, resources: &[Uuid]) -> Result<(), DatabaseError> {
    database.write(&FORGET).bind_json(resources).execute().await?;
    Ok(())
}

/// A request that carried a key, as it is kept: what goes along when a module moves to another
/// database. Nothing in it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRequest {
    /// Digest of the key and of who used it, in hexadecimal digits.
    pub key: String,
    /// Digest of what was asked, in hexadecimal digits.
    pub fingerprint: String,
    /// What it was answered with, once it was carried out.
    pub status: Option<u16>,
    /// The resource it made or changed.
    pub resource_id: Option<Uuid>,
    /// Where the answer said the log has it.
    pub position: Option<Position>,
    /// The event that stands there.
    pub event_id: Option<Uuid>,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

/// Up to `limit` kept requests after a key, in the order of their keys.
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

/// Why requests that were kept elsewhere were not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The database did not take them.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A digest is not one.
    #[error("`{0}` is not a digest in hexadecimal digits")]
    NoDigest(String),
}

/// Takes requests that were kept elsewhere. What is kept here already stays; taking them again
/// changes nothing.
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
