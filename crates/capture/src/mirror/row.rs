//! One row of the mirror, and how a change meets it.

use std::collections::BTreeMap;

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
}

impl Row {
    /// A column whose value is not known.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.carried.iter().find(|(_, from)| from.is_none()).map(|(column, _)| column.as_str())
    }

    fn shows_the_same_as(&self, other: &Self) -> bool {
        self.image == other.image && self.unknown() == other.unknown()
    }
}

/// Puts a change on top of what is known. The result does not depend on the order in which the
/// changes of a row arrive.
pub(crate) fn merge(known: Option<&Row>, change: &Change) -> Merged {
    let Some(known) = known else {
        return Merged::Changed(fresh(None, change));
    };
    if change.position <= known.position {
        return fill(known, change);
    }
    let row = fresh(Some(known), change);
    if row.shows_the_same_as(known) { Merged::Equal(row) } else { Merged::Changed(row) }
}

fn fresh(known: Option<&Row>, change: &Change) -> Row {
    let mut row =
        Row { position: change.position, image: change.image.clone(), carried: BTreeMap::new() };
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
    use crate::debezium::{Operation, SnapshotMark};

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
            timestamp_ms: 0,
        }
    }

    fn fold<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Option<Row> {
        changes.into_iter().fold(None, |row, change| match merge(row.as_ref(), change) {
            Merged::Ignored => row,
            Merged::Equal(new) | Merged::Changed(new) => Some(new),
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
