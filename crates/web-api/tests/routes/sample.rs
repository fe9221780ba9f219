//! A module as small as can be: lamps that are lit and put out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::body::to_bytes;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, get, post};
use database::{Database, Migrations, Transaction};
use kernel::codec::{Codec, Envelope};
use kernel::decider::{Context, Decider};
use kernel::execution::{Environment, ExecuteError};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::projection::{Progress, Projection, ProjectionRunner};
use kernel::seams::SystemClock;
use kernel::store::BoxError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::AppExt as _;
use uuid::Uuid;
use validator::Validate;
use web_api::{
    Acknowledgement, CarriesOut, CommandHeaders, CommandProblems, CommandRequest, Cursor, Done,
    HistoryQuery, Hosts, IfMatchHeader, IfNoneMatchHeader, Limit, Line, ListProblems, NoBody,
    NotModified, Page, Paging, PositiveDecimal, Problem, ReadHeaders, ReadProblems, ReadRequest,
    ValidJson, ValidPath, ValidQuery,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LampLit {
    pub place: String,
}
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LampPutOut {}
event_contract::published! {
    "house.LampLit.v1": LampLit;
    "house.LampPutOut.v1": LampPutOut;
}

kernel::event_set! {
    /// What happens to a lamp.
    pub enum LampEvent { Lit(LampLit), PutOut(LampPutOut) }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub enum Lamp {
    #[default]
    Absent,
    Lit,
    Out,
}

#[derive(Debug, Clone)]
pub enum LampCommand {
    Light(String),
    PutOut,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LampRefusal {
    #[error("the lamp is lit already")]
    LitAlready,
    #[error("there is no such lamp")]
    NoSuchLamp,
    #[error("the lamp is out already")]
    OutAlready,
}

pub struct Lamps;

impl Decider for Lamps {
    const CATEGORY: &'static str = "lamp";
    type Id = Uuid;
    type State = Lamp;
    type Command = LampCommand;
    type Event = LampEvent;
    type Refusal = LampRefusal;

    fn decide(
        state: &Lamp,
        command: LampCommand,
        _: &Context,
    ) -> Result<Vec<LampEvent>, LampRefusal> {
        match (command, state) {
            (LampCommand::Light(place), Lamp::Absent) => Ok(vec![LampLit { place }.into()]),
            (LampCommand::Light(_), _) => Err(LampRefusal::LitAlready),
            (LampCommand::PutOut, Lamp::Lit) => Ok(vec![LampPutOut {}.into()]),
            (LampCommand::PutOut, Lamp::Absent) => Err(LampRefusal::NoSuchLamp),
            (LampCommand::PutOut, Lamp::Out) => Err(LampRefusal::OutAlready),
        }
    }

    fn evolve(_: Lamp, event: &LampEvent) -> Lamp {
        match event {
            LampEvent::Lit(_) => Lamp::Lit,
            LampEvent::PutOut(_) => Lamp::Out,
        }
    }
}

/// A read model that stands still: it is never run.
struct StillLamps;

impl Projection for StillLamps {
    type Store = Database;
    type Event = LampEvent;
    const NAME: &'static str = "house.lamps";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[];
    async fn project(&self, _: &mut Transaction, _: &Envelope<LampEvent>) -> Result<(), BoxError> {
        Ok(())
    }
}

pub struct House {
    pub environment: Environment,
    pub database: Database,
    progress: Progress,
    /// How often a command was carried out rather than replayed.
    pub carried_out: AtomicUsize,
    _runner: ProjectionRunner<StillLamps>,
    _folder: TempDir,
}

static NO_TABLES: Migrations = Migrations::NONE;

impl House {
    pub async fn new() -> Data<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("house.db").display());
        let database = Database::open(&url, "house", &NO_TABLES).await.unwrap();
        let environment = Environment::new(
            Arc::new(MemoryStore::new(Arc::new(SystemClock))),
            Codec::new(Arc::new(MemoryKeyVault::default())),
            Arc::new(SystemClock),
            SecretKey::generate().unwrap(),
        );
        let (runner, progress) =
            ProjectionRunner::new(StillLamps, environment.clone(), database.clone());
        Data::new(Self {
            environment,
            database,
            progress,
            carried_out: AtomicUsize::new(0),
            _runner: runner,
            _folder: folder,
        })
    }
}

impl CarriesOut for House {
    const CATEGORY: &'static str = Lamps::CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// A lamp to light.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LightLamp {
    place: Line<20>,
    #[validate(range(min = 1, max = 2000))]
    watts: Option<u32>,
    #[serde(default)]
    #[validate(length(max = 3))]
    bulbs: Vec<Bulb>,
}

/// A bulb of a lamp.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulb {
    socket: Line<20>,
    price: Option<PositiveDecimal>,
}

/// A lamp.
#[derive(Debug, Serialize, ToSchema)]
pub struct LampView {
    id: Uuid,
    lit: bool,
}

fn problem(error: ExecuteError<LampRefusal>) -> Problem {
    Problem::from_execute(error, |refusal| match refusal {
        LampRefusal::NoSuchLamp => Problem::not_found("There is no such lamp."),
        LampRefusal::LitAlready => Problem::refused("lit-already", refusal.to_string()),
        LampRefusal::OutAlready => Problem::refused("out-already", refusal.to_string()),
    })
}

#[utoipa::path(
    operation_id = "light_lamp", tag = "house", params(CommandHeaders), request_body = LightLamp,
    responses((status = 201, description = "Lit", body = Acknowledgement), CommandProblems),
)]
#[post("")]
async fn light(
    house: Data<House>,
    command: CommandRequest,
    body: ValidJson<LightLamp>,
) -> Result<Done, Problem> {
    let environment = &house.environment;
    command
        .create(&**house, body.payload(), async |attempt| {
            house.carried_out.fetch_add(1, Ordering::SeqCst);
            let id = attempt.new_id();
            let lit = LampCommand::Light(body.into_inner().place.into_inner());
            let lit = environment.execute::<Lamps>(id, lit, attempt.cause(), None).await;
            Ok((id, lit.map_err(problem)?))
        })
        .await
}

#[utoipa::path(
    operation_id = "put_out_lamp", tag = "house",
    params(("id" = Uuid, Path, description = "The lamp"), CommandHeaders, IfMatchHeader),
    responses((status = 200, description = "Out", body = Acknowledgement), CommandProblems),
)]
#[post("/{id}/put-out")]
async fn put_out(
    house: Data<House>,
    id: ValidPath<Uuid>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    command
        .change(&**house, *id, body.payload(), async |attempt, expected| {
            let out = LampCommand::PutOut;
            let out = house.environment.execute::<Lamps>(*id, out, attempt.cause(), expected);
            out.await.map_err(problem)
        })
        .await
}

#[utoipa::path(
    operation_id = "replace_lamp", tag = "house",
    params(("id" = Uuid, Path, description = "The lamp"), CommandHeaders),
    responses((status = 201, description = "Replaced", body = Acknowledgement), CommandProblems),
)]
#[post("/{id}/replace")]
async fn replace(
    house: Data<House>,
    id: ValidPath<Uuid>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    let (database, environment) = (&house.database, &house.environment);
    let replaced = *id;
    command
        .once(database, environment, Lamps::CATEGORY, body.payload(), async |attempt| {
            let (cause, id) = (attempt.cause(), attempt.new_id());
            let out = LampCommand::PutOut;
            environment.execute::<Lamps>(replaced, out, cause, None).await.map_err(problem)?;
            let lit = LampCommand::Light("instead".to_owned());
            let lit = environment.execute::<Lamps>(id, lit, cause, None).await;
            Ok(Done::created(id, lit.map_err(problem)?))
        })
        .await
}

#[utoipa::path(
    operation_id = "get_lamp", tag = "house",
    params(("id" = Uuid, Path, description = "The lamp"), ReadHeaders, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The lamp", body = LampView),
        NotModified, ReadProblems,
    ),
)]
#[get("/{id}")]
async fn get_one(
    house: Data<House>,
    id: ValidPath<Uuid>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    read.wait_for(&house.environment, &house.progress).await?;
    let lamp = house.environment.load::<Lamps>(*id).await?;
    let revision = lamp.revision.ok_or_else(|| Problem::not_found("There is no such lamp."))?;
    read.found(&house.environment, revision, &LampView { id: *id, lit: lamp.state == Lamp::Lit })
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Light {
    Lit,
    Out,
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListLamps {
    #[param(inline)]
    light: Option<Light>,
    limit: Option<Limit>,
    cursor: Option<Cursor>,
}

/// Seven lamps, at the positions 1 to 7.
#[utoipa::path(
    operation_id = "list_lamps", tag = "house", params(ListLamps, ReadHeaders),
    responses((status = 200, description = "Lamps", body = Page<LampView>), ListProblems),
)]
#[get("")]
async fn list(query: ValidQuery<ListLamps>, read: ReadRequest) -> HttpResponse {
    let paging = Paging::of(query.limit, query.cursor);
    let lit = !matches!(query.light, Some(Light::Out));
    let rows = (1..=7_i64)
        .rev()
        .filter(|position| *position < paging.before())
        .take(usize::try_from(paging.rows()).unwrap())
        .map(|position| (position, LampView { id: Uuid::from_u128(position as u128), lit }))
        .collect();
    read.page(paging, rows)
}

#[utoipa::path(
    operation_id = "get_lamp_history", tag = "house",
    params(("id" = Uuid, Path, description = "The lamp"), HistoryQuery),
    responses(
        (status = 200, description = "Its events", body = Page<web_api::HistoryEntry>),
        ReadProblems,
    ),
)]
#[get("/{id}/history")]
async fn history(
    house: Data<House>,
    id: ValidPath<Uuid>,
    query: ValidQuery<HistoryQuery>,
    read: ReadRequest,
) -> Result<HttpResponse, Problem> {
    web_api::history::of_stream(&house.environment, Lamps::CATEGORY, *id, &query, &read).await
}

/// Fails for a reason that nobody outside may learn.
#[utoipa::path(operation_id = "fail", tag = "house", responses(ReadProblems))]
#[get("/fail")]
async fn fail() -> Result<HttpResponse, Problem> {
    Err(Problem::internal("the password is swordfish"))
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    async fn of(response: ServiceResponse) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body()).await.unwrap();
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// A problem of this status and type, complete.
    #[track_caller]
    pub fn is_problem(&self, status: u16, problem_type: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["type"], format!("/problems/{problem_type}"), "{self:?}");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        assert!(self.body["instance"].as_str().unwrap().starts_with('/'));
        for member in ["title", "detail"] {
            assert!(!self.body[member].as_str().unwrap().is_empty(), "{member}");
        }
        self
    }

    /// The fields and codes of a problem.
    pub fn errors(&self) -> Vec<(&str, &str)> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors
            .iter()
            .map(|error| {
                assert!(!error["message"].as_str().unwrap().is_empty());
                (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())
            })
            .collect()
    }
}

/// A request to the sample.
pub struct Call(TestRequest);

impl Call {
    pub fn new(method: &str, uri: &str) -> Self {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Self(TestRequest::default().method(method).uri(uri))
    }

    pub fn get(uri: &str) -> Self {
        Self::new("GET", uri)
    }

    /// A POST of JSON.
    pub fn post(uri: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", uri).header("Content-Type", "application/json").body(body)
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.append_header((name, value)))
    }

    /// Announces a length, whatever the body's is.
    pub fn announcing(self, length: &str) -> Self {
        Self(self.0.insert_header(("Content-Length", length)))
    }

    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self(self.0.set_payload(body))
    }

    /// Sends it to an application over this house.
    pub async fn send(self, house: &Data<House>) -> Answer {
        let app = App::new().into_utoipa_app();
        let app = app.configure(|config| routes(config, house)).configure(web_api::history::routes);
        let (app, document) = app.split_for_parts();
        let app = app.app_data(Data::new(house.environment.clone()));
        let hosts = Hosts::of(SocketAddr::from(([127, 0, 0, 1], 80)), &[]);
        let service = init_service(web_api::finish(app, &document, &hosts)).await;
        Answer::of(service.call(self.0.to_request()).await.unwrap()).await
    }
}

pub fn routes(
    config: &mut utoipa_actix_web::service_config::ServiceConfig<'_>,
    house: &Data<House>,
) {
    config.service(
        utoipa_actix_web::scope("/api/v1/lamps")
            .app_data(house.clone())
            .service(light)
            .service(list)
            .service(fail)
            .service(history)
            .service(put_out)
            .service(replace)
            .service(get_one),
    );
}
