//! One row of the mirror, and the merge of a change into it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::debezium::SnapshotMark;
use crate::mask::{Change, Image};

/// The latest known state of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The position in the source's log at which this state was written.
    pub(crate) position: i64,
    /// The masked columns; `None` when the row is deleted.
    pub(crate) image: Option<Image>,
    /// Columns missing in the change at `position`: the position of their value, or `None` (and no
    /// value in the image) if no earlier value was seen.
    pub(crate) carried: BTreeMap<String, Option<i64>>,
    /// More about the change at `position`. Rows written by earlier releases have none.
    pub(crate) stamp: Option<Stamp>,
    /// Approximate size in bytes.
    pub(crate) size: usize,
}

/// The change that produced a row's state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stamp(
    /// Its time, in milliseconds since 1970-01-01 UTC.
    pub(crate) i64,
    /// Its transaction.
    pub(crate) Option<i64>,
    /// Whether it belongs to a snapshot.
    pub(crate) bool,
    /// Positions of earlier changes in the same millisecond.
    pub(crate) Vec<i64>,
);

/// Maximum number of changes of one row in one millisecond that are remembered individually.
const AT_ONCE: usize = 100;

/// The stored form: time, transaction (`-` if there is none), `s` for a snapshot or `c` for a change,
/// then positions.
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
            // The first stays: the positions between it and the last were seen, too.
            let over = earlier.len().saturating_sub(AT_ONCE);
            earlier.drain(1..1 + over);
        }
        Self(change.timestamp_ms, change.transaction, change.snapshot.is_whole(), earlier)
    }
}

/// Returns the approximate bytes of text of an image.
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

/// The result of merging a change into a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Merged {
    /// The change is not newer than the known state.
    Ignored,
    /// The change is newer, and the stored columns are unchanged.
    Equal(Row),
    /// The change is newer and changed the row.
    Changed(Row),
    /// Like `Changed`, though its position is below that of the preceding snapshot row: from a
    /// transaction that was open then, or from another log.
    Open(Row),
    /// The change has a lower position but a later time: positions of the log started again.
    WentBack,
    /// The same for a snapshot row, which the missing changes may still follow.
    Behind,
}

/// Memory of a row apart from its columns, in bytes.
pub(super) const BARE: usize = 256;
/// Memory of a column apart from its name and its value, in bytes.
const COLUMN: usize = 128;

impl Row {
    /// Returns the approximate size in memory, in bytes. Short rows mostly consist of the map itself.
    pub(crate) fn in_memory(&self) -> usize {
        BARE + self.size + self.image.as_ref().map_or(0, |image| image.len() * COLUMN)
    }

    /// Returns a column whose value is unknown.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.carried.iter().find(|(_, from)| from.is_none()).map(|(column, _)| column.as_str())
    }

    fn shows_the_same_as(&self, other: &Self) -> bool {
        self.image == other.image && self.unknown() == other.unknown()
    }
}

/// Merges a change into the known state. The result does not depend on the order in which the changes
/// of a row arrive, except for rows of an incremental snapshot: those are as new as the change before
/// them in their file.
pub(crate) fn merge(known: Option<&Row>, change: &Change) -> Merged {
    if change.snapshot == SnapshotMark::Incremental {
        return read_between(known, change);
    }
    let Some(known) = known else {
        return Merged::Changed(fresh(None, change));
    };
    match age(known, change) {
        Age::Newer => newer(known, fresh(Some(known), change)),
        Age::Open => match newer(known, fresh(Some(known), change)) {
            Merged::Changed(row) => Merged::Open(row),
            other => other,
        },
        Age::Older => fill(known, change),
        Age::Later => Merged::WentBack,
        Age::Unclear => Merged::Behind,
    }
}

fn newer(known: &Row, row: Row) -> Merged {
    if row.shows_the_same_as(known) { Merged::Equal(row) } else { Merged::Changed(row) }
}

/// The age of a change compared with the known state of its row.
enum Age {
    Newer,
    /// Newer, though its position is below that of the snapshot row.
    Open,
    Older,
    Later,
    Unclear,
}

/// A higher position is newer. A change with a lower one is usually older: a change that a connector
/// delivers again, a file that is imported twice or files in another order have lower positions *and*
/// earlier times, because the changes of one row are written in the order in which their transactions
/// commit. After the legacy was moved to another server its positions start again, while time goes on.
///
/// The position of a snapshot row is that of the snapshot, not of the row's last change:
/// - A change at that very position is the first one after it.
/// - A transaction that was open then has written below it, and is not in it. It was committed later.
///   (This also distinguishes it from a change that a connector delivers again because it has a
///   replication slot that begins before its snapshot.)
/// - A snapshot may rightly be behind, if its connector has such a slot.
///
/// Two changes at one position are an update of the key whose old and new value compare as equal here:
/// Debezium writes it as a deletion and a row, in this order.
fn age(known: &Row, change: &Change) -> Age {
    let Some(Stamp(time, transaction, of_snapshot, same_time)) = &known.stamp else {
        let is_newer = change.position > known.position;
        return if is_newer { Age::Newer } else { Age::Older };
    };
    let is_whole = change.snapshot.is_whole();
    let has_times = change.timestamp_ms != 0 && *time != 0;
    if change.position > known.position {
        // Changes committed after a snapshot was taken are newer than its rows.
        let is_open = is_whole && !of_snapshot && has_times && change.timestamp_ms < *time;
        return if is_open { Age::Older } else { Age::Newer };
    }
    if change.position == known.position {
        let follows = match (*of_snapshot, is_whole) {
            (true, false) => true,
            (false, false) => change.transaction == *transaction && change.image != known.image,
            _ => false,
        };
        return if follows { Age::Newer } else { Age::Older };
    }
    if !has_times || change.timestamp_ms < *time {
        return Age::Older;
    }
    if is_whole {
        return match *of_snapshot {
            _ if change.image == known.image => Age::Older,
            true => Age::Later,
            false => Age::Unclear,
        };
    }
    if *of_snapshot && change.timestamp_ms > *time {
        return Age::Open;
    }
    let was_seen = || {
        let is_among = same_time.len() >= AT_ONCE && same_time[0] <= change.position;
        is_among || same_time.contains(&change.position)
    };
    if change.timestamp_ms == *time && (change.transaction == *transaction || was_seen()) {
        return Age::Older;
    }
    Age::Later
}

/// The position of a row of an incremental snapshot without a change before it in its file: only the
/// times show whether it is newer than the known state.
pub(crate) const UNPLACED: i64 = i64::MAX;

/// Merges a row of an incremental snapshot. It has no position of its own: it is at least as new as
/// every change before it, and older than every change of the row after it.
fn read_between(known: Option<&Row>, change: &Change) -> Merged {
    let Some(known) = known else {
        // Every streamed change of it is newer.
        let row = Row { position: i64::MIN, ..fresh(None, change) };
        return Merged::Changed(row);
    };
    let is_later = if change.position == UNPLACED {
        let time = known.stamp.as_ref().map_or(0, |stamp| stamp.0);
        time == 0 || change.timestamp_ms == 0 || time <= change.timestamp_ms
    } else {
        known.position <= change.position
    };
    if !is_later {
        let position = change.position.min(known.position);
        return fill(known, &Change { position, ..change.clone() });
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

/// A late older change may have the value of a column that the newer one omits.
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
            Merged::Equal(new) | Merged::Changed(new) | Merged::Open(new) => Some(new),
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
        let other = Change { transaction: Some(2), ..change(5, Some(1), Some("x")) };
        assert_eq!(merge(row.as_ref(), &other), Merged::Ignored);
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
        // A record without a time.
        assert_eq!(merged(2_000, 0, 3, No), Merged::Ignored);
        assert_eq!(merged(2_000, 7_000, 3, Within), Merged::Behind);
        let taken = change(5_000, Some(1), Some("old"));
        let row = fold(&[Change { snapshot: Within, ..taken }]);
        let later = Change { snapshot: Within, timestamp_ms: 7_000, ..change(1, Some(2), None) };
        assert_eq!(merge(row.as_ref(), &later), Merged::WentBack);
    }

    fn of_snapshot(position: i64, state: i64) -> Change {
        Change { snapshot: SnapshotMark::Within, ..change(position, Some(state), Some("x")) }
    }

    fn states(changes: &[&Change]) -> Option<i64> {
        let row = fold(changes.iter().copied()).unwrap();
        row.image.map(|image| image["state"].as_i64().unwrap())
    }

    #[test]
    fn the_first_change_after_a_snapshot_may_be_at_its_position() {
        let (taken, changed) = (of_snapshot(5, 1), change(5, Some(2), Some("x")));
        let (deleted, later) = (change(5, None, None), change(6, Some(3), Some("x")));
        assert_eq!(states(&[&taken, &changed]), Some(2));
        assert_eq!(states(&[&changed, &taken]), Some(2));
        assert_eq!(states(&[&taken, &deleted]), None);
        assert_eq!(states(&[&taken, &deleted, &later, &taken]), Some(3));
    }

    #[test]
    fn what_was_open_when_a_snapshot_was_taken_is_newer_than_its_rows() {
        let at = |timestamp_ms, change| Change { timestamp_ms, ..change };
        let taken = at(10_000, of_snapshot(2_000, 1));
        let open = at(20_000, change(1_900, Some(2), Some("x")));
        let before = at(9_000, change(1_800, Some(9), Some("x")));
        let after = at(30_000, change(2_500, Some(3), Some("x")));
        let row = fold([&taken]);
        assert!(matches!(merge(row.as_ref(), &open), Merged::Open(_)));
        for order in [[&taken, &before, &open], [&open, &taken, &before], [&before, &open, &taken]]
        {
            assert_eq!(states(&order), Some(2));
        }
        assert_eq!(states(&[&taken, &open, &after, &taken, &open]), Some(3));
        // The next snapshot contains it.
        let next = at(40_000, of_snapshot(3_000, 4));
        assert_eq!(states(&[&taken, &open, &next]), Some(4));
        assert_eq!(states(&[&taken, &open, &next, &open]), Some(4));
    }

    #[test]
    fn of_two_changes_at_one_position_the_second_holds() {
        let (gone, made) = (change(5, None, None), change(5, Some(2), Some("x")));
        let before = change(4, Some(1), Some("x"));
        assert_eq!(states(&[&before, &gone, &made]), Some(2));
        // Delivered again completely.
        assert_eq!(states(&[&before, &gone, &made, &gone, &made]), Some(2));
    }

    #[test]
    fn more_changes_in_one_millisecond_than_are_remembered_may_be_delivered_again() {
        let at_once = |position| {
            let change = change(position, Some(position), Some("x"));
            Change { timestamp_ms: 1_000, transaction: Some(position), ..change }
        };
        let changes: Vec<Change> = (1..=300).map(at_once).collect();
        let row = fold(&changes);
        for change in &changes {
            assert_eq!(merge(row.as_ref(), change), Merged::Ignored, "{}", change.position);
        }
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
        // Unknown before; every streamed change is newer, whatever its position.
        assert_eq!(state(fold(&[read(20, 2)])), json!(2));
        assert_eq!(state(fold(&[read(20, 2), change(5, Some(9), Some("x"))])), json!(9));
        assert_eq!(state(fold(&[before.clone(), read(20, 2)])), json!(2));
        assert_eq!(state(fold(&[before.clone(), read(20, 2), after.clone()])), json!(3));
        // Its file has no change before it, or its clock is behind.
        let unplaced = Change { position: UNPLACED, ..read(20, 2) };
        assert_eq!(state(fold(&[before.clone(), unplaced.clone()])), json!(2));
        assert_eq!(state(fold(&[after.clone(), unplaced])), json!(3));
        let behind = Change { timestamp_ms: 1_000, ..read(20, 2) };
        assert_eq!(state(fold(&[before.clone(), behind])), json!(2));
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
