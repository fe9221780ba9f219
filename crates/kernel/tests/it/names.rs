//! A read model of those who lit lamps, as two releases know it.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use kernel::codec::Envelope;
use kernel::projection::Projection;
use kernel::store::BoxError;
use serde::{Deserialize, Serialize};

use crate::lamp::LampLit;
use crate::subscriptions::{DISK_FULL, MemoryDatabase, Transaction};

kernel::event_set! {
    pub enum Lit { Lit(LampLit) }
}

/// A version of the read model, and what cannot be relied on in it.
#[derive(Debug, Default)]
pub struct Names<const VERSION: u32 = 1> {
    /// Whether its rows say which version they are of.
    pub says_version: bool,
    /// How often the disk is full before it is not.
    pub full: AtomicU32,
    /// How often a poisoned name still fails; for ever, if it is not said.
    pub poisoned: Option<Arc<AtomicU32>>,
}

fn counted_down(counter: &AtomicU32) -> bool {
    counter.try_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl<const V: u32> Projection for Names<V> {
    type Store = MemoryDatabase;
    type Event = Lit;

    const NAME: &'static str = "house.names";
    const VERSION: u32 = V;
    const TABLES: &'static [&'static str] = &[];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Lit>,
    ) -> Result<(), BoxError> {
        let Lit::Lit(lit) = &event.event;
        let name = lit.by.known().cloned().unwrap_or_default();
        if counted_down(&self.full) {
            return Err(DISK_FULL.into());
        }
        let poisoned = self.poisoned.as_ref().is_none_or(|left| counted_down(left));
        if name == "poison" && poisoned {
            return Err("cannot be projected".into());
        }
        transaction.rows.push(if self.says_version { format!("{name} v{V}") } else { name });
        Ok(())
    }
}

/// What the next release writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LampLitBrightly {
    pub name: String,
}

impl From<LampLit> for LampLitBrightly {
    fn from(lit: LampLit) -> Self {
        Self { name: lit.by.known().cloned().unwrap_or_default() }
    }
}

/// An event that the next release wants besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CandleLit {
    pub name: String,
}

event_contract::published! {
    "house.LampLit.v2": LampLitBrightly, from LampLit;
    "house.CandleLit.v1": CandleLit;
}

kernel::event_set! {
    pub enum LitSomehow { Lamp(LampLitBrightly), Candle(CandleLit) }
}

/// The same read model in the next release.
#[derive(Debug)]
pub struct NamesOfNextRelease;

impl Projection for NamesOfNextRelease {
    type Store = MemoryDatabase;
    type Event = LitSomehow;

    const NAME: &'static str = "house.names";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<LitSomehow>,
    ) -> Result<(), BoxError> {
        transaction.rows.push(match &event.event {
            LitSomehow::Lamp(lit) => lit.name.clone(),
            LitSomehow::Candle(lit) => format!("{} (candle)", lit.name),
        });
        Ok(())
    }
}
