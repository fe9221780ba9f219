//! Loyalty: a card for every customer, with points earned by orders.
//!
//! ```text
//! orders.OrderPlaced ───► Earning ─► loyalty.PointsEarned
//! POST …/cards/{id}/spend ─────────► loyalty.PointsSpent
//! loyalty.… ────────────► Cards: the read model of the API
//! ```

pub mod cards;
pub mod domain;
pub mod http;
pub mod policies;

use std::sync::LazyLock;

use database::Migrations;
use database::documents::{Documents, migrations};
use event_contract::PublishedEvent;
use module::{Module, NoSettings, OpenError, Opened, Opening, Routes};

use cards::Cards;
use domain::CardDecider;
use http::{Api, routes};
use policies::Earning;

/// The module of loyalty.
#[derive(Debug, Clone, Copy)]
pub struct LoyaltyModule;

static MIGRATIONS: LazyLock<Migrations> =
    LazyLock::new(|| migrations(&[Documents::<Cards>::table()]));

impl Module for LoyaltyModule {
    const NAME: &'static str = "loyalty";
    const ABOUT: &'static str = "A card for every customer, with points earned by orders.";
    const EVENTS: &'static [PublishedEvent] = loyalty_contract::CATALOGUE;
    type Settings = NoSettings;
    type Deciders = (CardDecider,);
    type Imports = ();
    type Projections = (Documents<Cards>,);
    type Reactions = (Earning,);
    const ROUTES: Option<Routes> = Some(routes);

    fn migrations(&self) -> &'static Migrations {
        &MIGRATIONS
    }

    async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
        let cards = Documents::<Cards>::new();
        let shown = on.projection(cards);
        let Opening { environment, database, .. } = on;
        let earning = Earning(environment.clone());
        let api = Api { environment, database, cards, progress: shown.progress() };
        Ok(Opened::new((shown,), (earning,)).with_data(api))
    }
}
