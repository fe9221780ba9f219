//! Read models of documents, on both engines.

use std::sync::Arc;

use database::documents::{DocumentModel, Documents, migrations};
use database::read_model::ReadModel;
use database::{Database, Engine, Migrations};
use kernel::codec::Envelope;
use kernel::execution::Environment;
use kernel::projection::{Progress, ProjectionRunner};
use kernel::seams::{SystemClock, new_id};
use kernel::subscription::Subscription as _;
use rstest::rstest;
use serde::{Deserialize, Serialize};
use testkit::engines::TestTables;
use testkit::modules::{environment, record};
use testkit::running::PATIENCE;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LampLit {
    lamp_id: Uuid,
    room: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LampSold {
    lamp_id: Uuid,
}

event_contract::published! {
    "lamps.LampLit.v1": LampLit;
    "lamps.LampSold.v1": LampSold;
}

kernel::event_set! {
    enum LampEvent { Lit(LampLit), Sold(LampSold) }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lamp {
    room: String,
    lit: u32,
}

#[derive(Clone)]
struct Lamps;

impl DocumentModel for Lamps {
    type Event = LampEvent;
    type Document = Lamp;

    const NAME: &'static str = "lamps.lamps";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["lamp"];
    const FOUND_BY: &'static [&'static str] = &["room"];

    fn id(event: &LampEvent) -> Uuid {
        match event {
            LampEvent::Lit(lit) => lit.lamp_id,
            LampEvent::Sold(sold) => sold.lamp_id,
        }
    }

    fn apply(lamp: Option<Lamp>, event: &Envelope<LampEvent>) -> Option<Lamp> {
        match &event.event {
            LampEvent::Lit(lit) => {
                let times = lamp.map_or(0, |lamp| lamp.lit);
                Some(Lamp { room: lit.room.clone(), lit: times + 1 })
            }
            LampEvent::Sold(_) => None,
        }
    }

    fn found_by(lamp: &Lamp) -> Vec<Option<String>> {
        vec![Some(lamp.room.clone())]
    }
}

/// The projection at work.
struct World {
    environment: Environment,
    database: Database,
    lamps: Documents<Lamps>,
    progress: Progress,
    _running: tokio_util::sync::DropGuard,
    _place: TestTables,
}

impl World {
    async fn on(engine: Engine) -> Self {
        let place = TestTables::on(engine).await;
        let migrations: &'static Migrations =
            Box::leak(Box::new(migrations(&[Documents::<Lamps>::table()])));
        let database = Database::open(place.url(), "lamps", migrations).await.unwrap();
        let environment = environment(Arc::new(SystemClock), Arc::default());
        let lamps = Documents::<Lamps>::new();
        let (runner, progress) =
            ProjectionRunner::new(lamps, environment.clone(), database.clone());
        let shutdown = CancellationToken::new();
        tokio::spawn(Box::new(runner).run(shutdown.clone()));
        let _running = shutdown.drop_guard();
        Self { environment, database, lamps, progress, _running, _place: place }
    }

    async fn happens(&self, event: impl Into<LampEvent>) {
        let event = event.into();
        record(&self.environment, "lamp", Lamps::id(&event), event).await;
        let head = self.environment.store.head().await.unwrap();
        assert!(self.progress.reached(head, PATIENCE).await, "the projection stands still");
    }

    async fn lit(&self, lamp_id: Uuid, room: &str) {
        self.happens(LampLit { lamp_id, room: room.to_owned() }).await;
    }

    /// The lit counts of the lamps in a room, latest first.
    async fn in_room(&self, room: &str, before: i64, rows: i64) -> Vec<u32> {
        let found = self.lamps.list_by(&self.database, "room", room, before, rows).await.unwrap();
        found.into_iter().map(|found| found.document.lit).collect()
    }
}

#[rstest]
#[tokio::test]
async fn documents_are_found_by_id_and_column_latest_first(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    let (first, second, third) = (new_id(), new_id(), new_id());
    world.lit(first, "attic").await;
    world.lit(second, "attic").await;
    world.lit(third, "cellar").await;
    world.lit(first, "attic").await;

    let found = world.lamps.find(&world.database, first).await.unwrap().unwrap();
    assert_eq!(found.document, Lamp { room: "attic".to_owned(), lit: 2 });
    assert_eq!((found.position, found.revision), (1, 1), "it began with the first event");
    assert_eq!(world.in_room("attic", i64::MAX, 10).await, [1, 2]);
    assert_eq!(world.in_room("attic", 2, 10).await, [2], "the second page");
    assert_eq!(world.in_room("attic", i64::MAX, 1).await, [1], "a page of one");
    assert_eq!(world.lamps.list(&world.database, i64::MAX, 10).await.unwrap().len(), 3);

    // Its column follows the document.
    world.lit(third, "attic").await;
    assert_eq!(world.in_room("cellar", i64::MAX, 10).await, [0; 0]);
    // What is removed is not found any more.
    world.happens(LampSold { lamp_id: first }).await;
    assert_eq!(world.lamps.find(&world.database, first).await.unwrap(), None);
    assert_eq!(world.in_room("attic", i64::MAX, 10).await, [2, 1]);
    let unknown = world.lamps.list_by(&world.database, "colour", "red", i64::MAX, 1).await;
    assert!(unknown.unwrap_err().to_string().contains("lamp.colour"));
}

#[rstest]
#[tokio::test]
async fn documents_are_verified_and_made_anew_as_any_read_model(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.lit(new_id(), "attic").await;
    let model = ReadModel::new(world.lamps, &world.environment, &world.database);
    let cancel = CancellationToken::new();
    assert!(model.verify(&mut |_, _| {}, &cancel).await.unwrap().is_right());
    assert_eq!(model.rebuild(&mut |_, _| {}, &cancel).await.unwrap().rows, 1);
}
