//! One row of the mirror, and how a change meets it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::debezium::SnapshotMark;
use crate::mask::{Change, Image};

/// The latest known state of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Where in the source's log this state was written.
    pub(crate) position: i64,
    /// The masked columns; `None` when the row is deleted.
    pub(crate) image: Option<Image>,
    /// Columns that the change at `position` did not carry: the position their value is from, or
    /// `None` (and no value in the image) when no earlier value was seen.
    pub(crate) carried: BTreeMap<String, Option<i64>>,
    /// What else is known of the change at `position`. Rows that earlier releases wrote have none.
    pub(crate) stamp: Option<Stamp>,
    /// About how many bytes it takes.
    pub(crate) size: usize,
}

/// The change that a row's state is from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stamp(
    /// When it happened, in milliseconds since 1970-01-01 UTC.
    pub(crate) i64,
    /// Its transaction.
    pub(crate) Option<i64>,
    /// Whether it is of a snapshot.
    pub(crate) bool,
    /// Positions of earlier changes that happened in the same millisecond.
    pub(crate) Vec<i64>,
);

/// How many changes of one row in one millisecond are remembered.
const AT_ONCE: usize = 100;

/// As the mirror keeps it: time, transaction (`-` if there is none), `s` for a snapshot or `c` for a
/// change, then positions.
impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time, transaction, of_snapshot, positions) = self;
        write!(formatter, "{time} ")?;
        match transaction {
            Some(transaction) => write!(formatter, "{transaction}")?,
            None => formatter.write_str("-")?,
        }
        formatter.write_str(if *of_snapshot { " s" } else { " c" })?;
        positions.iter().try_for_each(|position| write!(formatter, " {position}"))
    }
}

impl FromStr for Stamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(' ');
        let read = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok());
        let time = read(parts.next()).ok_or("it has no time")?;
        let transaction = read(parts.next());
        let of_snapshot = parts.next() == Some("s");
        let positions = parts.map(|part| part.parse().map_err(|_| "a position is no number"));
        Ok(Self(time, transaction, of_snapshot, positions.collect::<Result<_, _>>()?))
    }
}

impl Stamp {
    fn of(known: Option<&Row>, change: &Change) -> Self {
        let mut earlier = Vec::new();
        if let Some(Row { position, stamp: Some(stamp), .. }) = known
            && stamp.0 == change.timestamp_ms
            && change.timestamp_ms != 0
        {
            earlier.clone_from(&stamp.3);
            earlier.push(*position);
            let over = earlier.len().saturating_sub(AT_ONCE);
            earlier.drain(..over);
        }
        Self(change.timestamp_ms, change.transaction, change.snapshot.is_whole(), earlier)
    }
}

/// About how many bytes of text an image is.
pub(crate) fn weight(image: &Image) -> usize {
    image.iter().map(|(name, value)| name.len() + 8 + weight_of(value)).sum()
}

fn weight_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 2 + weight_of(item)).sum(),
        Value::Object(members) => weight(members),
    }
}

/// What a change did to a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Merged {
    /// It is not newer than what is known.
    Ignored,
    /// It is newer, and the stored columns are as before.
    Equal(Row),
    /// It brought something new.
    Changed(Row),
    /// It is older by its position, but happened later: positions went back.
    WentBack,
    /// So is a row of a snapshot, which may still be followed by the changes that it lacks.
    Behind,
}

/// What a row takes in memory beside its columns, in bytes.
pub(super) const BARE: usize = 256;
/// What a column takes beside its name and its value.
const COLUMN: usize = 128;

impl Row {
    /// About how many bytes it takes in memory. Of short rows most is the map that they are.
    pub(super) fn in_memory(&self) -> usize {
        BARE + self.size + self.image.as_ref().map_or(0, |image| image.len() * COLUMN)
    }

    /// A column whose value is not known.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.carried.iter().find(|(_, from)| from.is_none()).map(|(column, _)| column.as_str())
    }

    fn shows_the_same_as(&self, other: &Self) -> bool {
        self.image == other.image && self.unknown() == other.unknown()
    }
}

/// Puts a change on top of what is known. The result does not depend on the order in which the
/// changes of a row arrive, rows read while changes are streamed aside: those are as new as the
/// change before them in their file.
pub(crate) fn merge(known: Option<&Row>, change: &Change) -> Merged {
    if change.snapshot == SnapshotMark::Incremental {
        return read_between(known, change);
    }
    let Some(known) = known else {
        return Merged::Changed(fresh(None, change));
    };
    if change.position <= known.position {
        match older(known, change) {
            Age::Older => return fill(known, change),
            Age::Later => return Merged::WentBack,
            Age::Unclear => return Merged::Behind,
        }
    }
    newer(known, fresh(Some(known), change))
}

fn newer(known: &Row, row: Row) -> Merged {
    if row.shows_the_same_as(known) { Merged::Equal(row) } else { Merged::Changed(row) }
}

/// Whether a change with a lower position is older than what is known.
enum Age {
    Older,
    Later,
    Unclear,
}

/// A change of a row has a lower position than the one known. What a connector delivers again, a
/// file that is imported twice or files in another order have lower positions *and* happened
/// earlier: one row's changes are written in the order in which their transactions are committed.
/// After the legacy was moved to another server its positions begin anew, while time goes on.
///
/// A snapshot may be behind by right: a connector that takes one with a replication slot that it
/// has begins where it had confirmed the log, and delivers again what came since.
fn older(known: &Row, change: &Change) -> Age {
    let Some(Stamp(time, transaction, of_snapshot, same_time)) = &known.stamp else {
        return Age::Older;
    };
    if change.position == known.position || change.timestamp_ms == 0 || *time == 0 {
        return Age::Older;
    }
    if change.timestamp_ms < *time {
        return Age::Older;
    }
    if change.snapshot.is_whole() {
        if change.image == known.image {
            return Age::Older;
        }
        return if *of_snapshot { Age::Later } else { Age::Unclear };
    }
    if change.timestamp_ms == *time
        && (change.transaction == *transaction || same_time.contains(&change.position))
    {
        return Age::Older;
    }
    Age::Later
}

/// A row that was read while changes are streamed. It has no position of its own: it is at least as
/// new as every change before it, and older than every change of the row after it.
fn read_between(known: Option<&Row>, change: &Change) -> Merged {
    let Some(known) = known else {
        // Whatever is streamed of it is newer.
        let row = Row { position: i64::MIN, ..fresh(None, change) };
        return Merged::Changed(row);
    };
    let time = known.stamp.as_ref().map_or(0, |stamp| stamp.0);
    let is_later = known.position <= change.position
        && (time == 0 || change.timestamp_ms == 0 || time <= change.timestamp_ms);
    if !is_later {
        return fill(known, change);
    }
    let row = fresh(Some(known), change);
    let stamp = known.stamp.clone().or_else(|| row.stamp.clone());
    newer(known, Row { position: known.position, stamp, ..row })
}

fn fresh(known: Option<&Row>, change: &Change) -> Row {
    let mut row = Row {
        position: change.position,
        image: change.image.clone(),
        carried: BTreeMap::new(),
        stamp: Some(Stamp::of(known, change)),
        size: change.image.as_ref().map_or(0, weight),
    };
    let Some(image) = &mut row.image else {
        return row;
    };
    for column in &change.unavailable {
        let old = known.and_then(|known| Some((known, known.image.as_ref()?.get(column)?)));
        let from = old.map(|(known, value)| {
            image.insert(column.clone(), value.clone());
            known.carried.get(column).copied().flatten().unwrap_or(known.position)
        });
        row.carried.insert(column.clone(), from);
    }
    row
}

/// An older change that arrives late may hold the value of a column that the newer one left out.
fn fill(known: &Row, change: &Change) -> Merged {
    let (Some(_), Some(late)) = (&known.image, &change.image) else {
        return Merged::Ignored;
    };
    let mut row = known.clone();
    for (column, from) in &mut row.carried {
        if let (Some(value), Some(image)) = (late.get(column), &mut row.image)
            && from.is_none_or(|from| from < change.position)
        {
            image.insert(column.clone(), value.clone());
            *from = Some(change.position);
        }
    }
    if row == *known {
        Merged::Ignored
    } else if row.shows_the_same_as(known) {
        Merged::Equal(row)
    } else {
        Merged::Changed(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::debezium::Operation;

    fn change(position: i64, state: Option<i64>, note: Option<&str>) -> Change {
        let mut image = state.map(|state| Image::from_iter([("state".to_owned(), json!(state))]));
        let mut unavailable = Vec::new();
        match (&mut image, note) {
            (Some(image), Some(note)) => {
                image.insert("note".to_owned(), json!(note));
            }
            (Some(_), None) => unavailable.push("note".to_owned()),
            (None, _) => {}
        }
        Change {
            row: None,
            operation: if image.is_some() { Operation::Update } else { Operation::Delete },
            image,
            unavailable,
            position,
            transaction: Some(1),
            snapshot: SnapshotMark::No,
            timestamp_ms: 1_000 + position,
            size: 100,
            file: 0,
            line: 0,
        }
    }

    fn fold<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Option<Row> {
        changes.into_iter().fold(None, |row, change| match merge(row.as_ref(), change) {
            Merged::Ignored => row,
            Merged::Equal(new) | Merged::Changed(new) => Some(new),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn an_unavailable_value_stays_as_it_was() {
        let row = fold(&[change(1, Some(1), Some("long")), change(2, Some(2), None)]).unwrap();
        assert_eq!(row.image.unwrap(), *json!({"state": 2, "note": "long"}).as_object().unwrap());
    }

    #[test]
    fn a_value_never_seen_is_unknown_not_null() {
        let row = fold(&[change(2, Some(2), None)]).unwrap();
        assert_eq!(row.unknown(), Some("note"));
        assert!(!row.image.unwrap().contains_key("note"));
    }

    #[test]
    fn a_value_from_before_a_deletion_does_not_come_back() {
        let row = fold(&[
            change(1, Some(1), Some("old")),
            change(2, None, None),
            change(4, Some(4), None),
        ]);
        assert_eq!(row.unwrap().unknown(), Some("note"));
    }

    #[test]
    fn what_is_not_newer_is_ignored() {
        let row = fold(&[change(5, None, None)]);
        assert_eq!(merge(row.as_ref(), &change(5, Some(1), Some("x"))), Merged::Ignored);
        assert_eq!(merge(row.as_ref(), &change(4, Some(1), Some("x"))), Merged::Ignored);
    }

    #[test]
    fn an_equal_image_moves_the_position_only() {
        let row = fold(&[change(1, Some(1), Some("x"))]);
        let Merged::Equal(row) = merge(row.as_ref(), &change(2, Some(1), Some("x"))) else {
            panic!("the image is the same")
        };
        assert_eq!(row.position, 2);
    }

    #[test]
    fn a_position_that_goes_back_while_time_goes_on_is_of_another_log() {
        let row = fold(&[change(5_000, Some(1), Some("old"))]);
        let merged = |position, timestamp_ms, transaction, snapshot| {
            let change = change(position, Some(2), Some("x"));
            let transaction = Some(transaction);
            merge(row.as_ref(), &Change { timestamp_ms, transaction, snapshot, ..change })
        };
        use SnapshotMark::{No, Within};
        assert_eq!(merged(2_000, 7_000, 3, No), Merged::WentBack);
        // In the same millisecond, of a transaction that was not seen before.
        assert_eq!(merged(2_000, 6_000, 3, No), Merged::WentBack);
        assert_eq!(merged(2_000, 6_000, 1, No), Merged::Ignored);
        assert_eq!(merged(2_000, 5_999, 3, No), Merged::Ignored);
        // A record that does not say when it happened.
        assert_eq!(merged(2_000, 0, 3, No), Merged::Ignored);
        assert_eq!(merged(2_000, 7_000, 3, Within), Merged::Behind);
        let taken = change(5_000, Some(1), Some("old"));
        let row = fold(&[Change { snapshot: Within, ..taken }]);
        let later = Change { snapshot: Within, timestamp_ms: 7_000, ..change(1, Some(2), None) };
        assert_eq!(merge(row.as_ref(), &later), Merged::WentBack);
    }

    #[test]
    fn a_stamp_is_read_as_it_is_written() {
        for stamp in [Stamp(7, Some(3), false, vec![]), Stamp(0, None, true, vec![-1, 5])] {
            assert_eq!(stamp.to_string().parse(), Ok(stamp));
        }
    }

    #[test]
    fn what_is_delivered_again_is_not_newer_also_within_one_millisecond() {
        let at_once = |position| {
            let change = change(position, Some(position), Some("x"));
            Change { timestamp_ms: 1_000, transaction: Some(position), ..change }
        };
        let row = fold(&[at_once(1), at_once(2), at_once(3)]);
        for position in 1..=3 {
            assert_eq!(merge(row.as_ref(), &at_once(position)), Merged::Ignored, "{position}");
        }
    }

    #[test]
    fn a_row_read_while_changes_are_streamed_is_as_new_as_what_came_before_it() {
        let read = |position, state| Change {
            snapshot: SnapshotMark::Incremental,
            transaction: None,
            timestamp_ms: 1_000 + position,
            ..change(position, Some(state), Some("read"))
        };
        let state = |row: Option<Row>| row.unwrap().image.unwrap()["state"].clone();
        let (before, after) = (change(10, Some(1), Some("x")), change(30, Some(3), Some("x")));
        // Not known before; what is streamed of it is newer, whatever its position.
        assert_eq!(state(fold(&[read(20, 2)])), json!(2));
        assert_eq!(state(fold(&[read(20, 2), change(5, Some(9), Some("x"))])), json!(9));
        assert_eq!(state(fold(&[before.clone(), read(20, 2)])), json!(2));
        assert_eq!(state(fold(&[before.clone(), read(20, 2), after.clone()])), json!(3));
        // Read again from the beginning.
        assert_eq!(state(fold(&[before, read(20, 2), after, read(20, 2)])), json!(3));
    }

    proptest! {
        /// A row's history in any order of arrival gives the same row.
        #[test]
        fn the_order_of_arrival_does_not_matter(
            history in prop::collection::vec((prop::option::weighted(0.85, 0..3_i64), prop::option::of("[ab]")), 1..9)
                .prop_flat_map(|history| {
                    // What is made has all its columns; only an update may leave one out.
                    let mut alive = false;
                    let changes: Vec<Change> = history.iter().enumerate().map(|(position, (state, note))| {
                        let note = note.as_deref().or((!alive).then_some("new"));
                        alive = state.is_some();
                        change(position as i64, *state, note)
                    }).collect();
                    (Just(changes.clone()), Just(changes).prop_shuffle())
                })
        ) {
            let (ordered, shuffled) = history;
            let (expected, row) = (fold(&ordered).unwrap(), fold(&shuffled).unwrap());
            prop_assert_eq!(row.position, expected.position);
            prop_assert_eq!(row.image, expected.image);
            prop_assert_eq!(row.carried, expected.carried);
        }
    }
}
