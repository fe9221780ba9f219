//! Reads aggregates: from memory, from a snapshot and the events after it, or from the beginning of
//! their stream.

use std::sync::Arc;

use super::loaded::Extent;
use super::{Environment, LoadError, Loaded};
use crate::authoring::decider::Decider;
use crate::log::event::{RecordedEvent, StreamName};

const PAGE: usize = 500;

impl Environment {
    /// Reads the current state of an aggregate from the log.
    pub async fn load<D: Decider>(&self, id: D::Id) -> Result<Loaded<D>, LoadError> {
        self.load_stream(StreamName::of(D::CATEGORY, id)).await
    }

    /// Reads the current state of an aggregate from a stream that is not named by a UUID.
    pub async fn load_stream<D: Decider>(
        &self,
        stream: StreamName,
    ) -> Result<Loaded<D>, LoadError> {
        Ok(Arc::unwrap_or_clone(self.read(stream, Extent::Whole).await?))
    }

    /// Returns the cached aggregate, which may be out of date.
    pub(super) fn remembered<D: Decider>(
        &self,
        stream: &StreamName,
        extent: Extent,
    ) -> Option<Arc<Loaded<D>>> {
        let incarnation = self.incarnation();
        self.aggregates
            .get::<Loaded<D>>(stream)
            .filter(|known| known.extent == extent && known.incarnation == incarnation)
    }

    /// Reads the current state of an aggregate from the log. A cached state saves reading the events
    /// before it.
    pub(super) async fn read<D: Decider>(
        &self,
        stream: StreamName,
        extent: Extent,
    ) -> Result<Arc<Loaded<D>>, LoadError> {
        if extent == Extent::LastEvent {
            return self.read_last(stream).await;
        }
        if let Some(known) = self.remembered::<D>(&stream, extent) {
            if let Some(current) = self.follow(known).await? {
                return Ok(current);
            }
            self.aggregates.forget(&stream);
        }
        let loaded = self.read_whole(stream).await?;
        Ok(self.remember(loaded))
    }

    async fn read_last<D: Decider>(&self, stream: StreamName) -> Result<Arc<Loaded<D>>, LoadError> {
        let mut loaded = Loaded::empty(stream, Extent::LastEvent, self.incarnation());
        if let Some(recorded) = self.store.read_last(&loaded.stream).await? {
            loaded.take(recorded, &self.codec).await?;
        }
        Ok(self.remember(loaded))
    }

    /// Applies the events after the last one of an aggregate. Returns `None` if the log does not
    /// contain that event: it was restored, and the aggregate's state is invalid.
    async fn follow<D: Decider>(
        &self,
        known: Arc<Loaded<D>>,
    ) -> Result<Option<Arc<Loaded<D>>>, LoadError> {
        let Some((revision, event_id)) = known.last_event() else { return Ok(None) };
        let mut page = self.store.read_stream(&known.stream, revision, PAGE).await?.into_iter();
        if page.next().is_none_or(|last| last.id != event_id) {
            return Ok(None);
        }
        if page.len() == 0 {
            return Ok(Some(known));
        }
        let is_last = page.len() + 1 < PAGE;
        let mut loaded = Arc::unwrap_or_clone(known);
        self.fold(&mut loaded, page, is_last).await?;
        Ok(Some(self.remember(loaded)))
    }

    async fn read_whole<D: Decider>(&self, stream: StreamName) -> Result<Loaded<D>, LoadError> {
        let incarnation = self.incarnation();
        let rule = self.snapshots.rule::<D>();
        // A shorter stream has no snapshot.
        let limit = rule
            .as_ref()
            .and_then(|rule| usize::try_from(rule.every).ok())
            .map_or(PAGE, |every| every.min(PAGE));
        let page = self.store.read_stream(&stream, 0, limit).await?;
        let is_last = page.len() < limit;
        if let Some(rule) = rule.filter(|_| !is_last) {
            let log_id = self.store.log_id();
            let found = self.snapshots.find(&rule, &stream, &self.codec, log_id, incarnation);
            if let Some(found) = found.await {
                match self.follow(Arc::new(found)).await? {
                    Some(current) => return Ok(Arc::unwrap_or_clone(current)),
                    None => self.snapshots.discard::<D>(&stream).await,
                }
            }
        }
        let mut loaded = Loaded::empty(stream, Extent::Whole, incarnation);
        self.fold(&mut loaded, page, is_last).await?;
        Ok(loaded)
    }

    /// Applies events and, unless they are the last ones, those after them.
    async fn fold<D: Decider>(
        &self,
        loaded: &mut Loaded<D>,
        events: impl IntoIterator<Item = Arc<RecordedEvent>>,
        mut is_last: bool,
    ) -> Result<(), LoadError> {
        for recorded in events {
            loaded.take(recorded, &self.codec).await?;
        }
        while !is_last {
            let from = loaded.next_revision();
            let page = self.store.read_stream(&loaded.stream, from, PAGE).await?;
            is_last = page.len() < PAGE;
            for recorded in page {
                loaded.take(recorded, &self.codec).await?;
            }
        }
        Ok(())
    }

    /// Caches a read or evolved aggregate for the next command, unless the log went back meanwhile.
    pub(super) fn remember<D: Decider>(&self, mut loaded: Loaded<D>) -> Arc<Loaded<D>> {
        if loaded.incarnation != self.incarnation() {
            return Arc::new(loaded);
        }
        self.snapshots.keep_if_due(&mut loaded, &self.codec, &*self.store);
        let about = loaded.about();
        let loaded = Arc::new(loaded);
        if let Some(about) = about {
            self.aggregates.put(&loaded.stream, about, Arc::clone(&loaded));
        }
        loaded
    }
}
