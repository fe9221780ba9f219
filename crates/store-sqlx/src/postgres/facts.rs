//! The state of streams on which a group of appends is planned: assumed, or looked up.

use std::collections::{HashMap, HashSet};

use kernel::event::{Revision, StreamName};
use kernel::planning::KnownEvents;
use kernel::store::{AppendRequest, EventLocation, ExpectedRevision};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::streams::{StreamHead, Streams};
use super::writing::Pending;

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    /// Queries the streams and events of some appends, in one snapshot: a row per event whose stream
    /// exists.
    pub(super) const LOOK_UP: &str = "\
SELECT given.ordinal, stream.id, last.revision, event.revision, event.position
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS given (name, id, ordinal)
JOIN stream ON stream.name = given.name
CROSS JOIN LATERAL (
    SELECT revision FROM event WHERE stream_id = stream.id ORDER BY revision DESC LIMIT 1
) AS last
LEFT JOIN event ON event.stream_id = stream.id AND event.id = given.id";
}

type Row = (i64, i64, i64, Option<i64>, Option<i64>);

/// The assumed or known state of streams.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `None` for a stream that does not exist.
    pub(super) heads: HashMap<StreamName, Option<StreamHead>>,
    /// The events that exist already, as far as they were looked up.
    pub(super) events: KnownEvents,
    looked_up: HashSet<StreamName>,
}

impl Facts {
    /// Returns the assumed heads of the streams of some appends; unknown streams are looked up.
    pub(super) async fn guess(
        appends: &[Pending],
        streams: &Streams,
        connection: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        let mut facts = Self::default();
        let mut unknown = HashSet::new();
        for request in requests_of(appends) {
            match (streams.get(&request.stream), request.expected) {
                (Some(head), _) => {
                    facts.heads.insert(request.stream.clone(), Some(head));
                }
                (None, ExpectedRevision::NoStream) => {
                    facts.heads.entry(request.stream.clone()).or_insert(None);
                }
                (None, _) => {
                    unknown.insert(&request.stream);
                }
            }
        }
        if !unknown.is_empty() {
            let unknown = requests_of(appends).filter(|request| unknown.contains(&request.stream));
            let found = Self::look_up_streams(unknown, streams, connection).await?;
            facts.heads.extend(found.heads);
            facts.events = found.events;
            facts.looked_up = found.looked_up;
        }
        Ok(facts)
    }

    /// Looks up the current state. No lock is taken: it may have changed since.
    pub(super) async fn look_up(
        appends: &[Pending],
        streams: &Streams,
        connection: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        Self::look_up_streams(requests_of(appends), streams, connection).await
    }

    async fn look_up_streams(
        requests: impl Iterator<Item = &AppendRequest>,
        streams: &Streams,
        connection: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        let mut facts = Self::default();
        let mut asked: Vec<(&StreamName, Uuid)> = Vec::new();
        for request in requests {
            facts.heads.insert(request.stream.clone(), None);
            facts.looked_up.insert(request.stream.clone());
            asked.extend(request.events.iter().map(|event| (&request.stream, event.id)));
        }
        let rows: Vec<Row> = sqlx::query_as(LOOK_UP)
            .bind(asked.iter().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>())
            .bind(asked.iter().map(|(_, id)| *id).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
        for (ordinal, id, last, revision, position) in rows {
            let place = usize::try_from(ordinal).ok().and_then(|ordinal| ordinal.checked_sub(1));
            let Some((stream, event)) = place.and_then(|place| asked.get(place)) else { continue };
            let head = StreamHead { id, revision: last.cast_unsigned() };
            facts.heads.insert((*stream).clone(), Some(head));
            if let (Some(revision), Some(position)) = (revision, position) {
                let place = EventLocation {
                    revision: revision.cast_unsigned(),
                    position: position.cast_unsigned(),
                };
                facts.events.insert(((*stream).clone(), *event), place);
            }
        }
        for (stream, head) in &facts.heads {
            match head {
                Some(head) => streams.put([(stream.clone(), *head)]),
                None => streams.forget(stream),
            }
        }
        Ok(facts)
    }

    /// Returns the last revision of every stream, as planning needs it.
    pub(super) fn revisions(&self) -> HashMap<StreamName, Option<Revision>> {
        self.heads
            .iter()
            .map(|(stream, head)| (stream.clone(), head.map(|head| head.revision)))
            .collect()
    }

    /// Returns whether everything about these requests was looked up, so that a result derived from it
    /// is an answer and not a guess.
    pub(super) fn are_certain_of(&self, requests: &[AppendRequest]) -> bool {
        !self.looked_up.is_empty()
            && requests.iter().all(|request| self.looked_up.contains(&request.stream))
    }
}

fn requests_of(appends: &[Pending]) -> impl Iterator<Item = &AppendRequest> {
    appends.iter().flat_map(|pending| &pending.job.requests)
}
