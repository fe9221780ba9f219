//! The known shape of a value, without running the program.

use std::collections::{BTreeMap, BTreeSet};

/// Columns, each with the index of the place whose rows have it.
pub(crate) type Columns = BTreeSet<(usize, String)>;

/// The known shape of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// No value, or null: nothing is reported about it.
    Never,
    /// A row at one of these places, or null.
    Rows(BTreeSet<usize>),
    /// A list of values, and its length if it is certain.
    List(Box<Shape>, Option<usize>),
    /// An object that the program builds: its members, and the columns of unknown members.
    Object(BTreeMap<String, Shape>, Columns),
    /// A single text, number or boolean, and the columns from which it is computed.
    Plain(Columns),
    /// Any value, and the columns from which it is computed, as far as they are known.
    Unknown(Columns),
}

impl Shape {
    pub(super) fn unknown() -> Self {
        Self::Unknown(Columns::new())
    }

    /// Returns a text, number or boolean without the value of a column.
    pub(super) fn plain() -> Self {
        Self::Plain(Columns::new())
    }

    /// Returns the shape of a value that has one of two shapes.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, shape) | (shape, Self::Never) => shape,
            (Self::Rows(mut one), Self::Rows(other)) => {
                one.extend(other);
                Self::Rows(one)
            }
            (Self::List(one, length), Self::List(other, other_length)) => {
                let length = length.filter(|_| length == other_length);
                Self::List(Box::new(one.or(*other)), length)
            }
            (Self::Object(mut one, mut rest), Self::Object(other, more)) => {
                for (name, shape) in other {
                    let known = one.remove(&name).unwrap_or(Self::Never);
                    one.insert(name, known.or(shape));
                }
                rest.extend(more);
                Self::Object(one, rest)
            }
            (Self::Plain(mut one), Self::Plain(other)) => {
                one.extend(other);
                Self::Plain(one)
            }
            (one, other) => Self::Unknown(joined([&one, &other])),
        }
    }

    /// Returns the shape of the sum of two values.
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::List(one, length), Self::List(other, more)) => {
                let length = length.zip(more).map(|(one, other)| one + other);
                Self::List(Box::new(one.or(*other)), length)
            }
            (Self::Object(mut one, mut rest), Self::Object(other, more)) => {
                one.extend(other);
                rest.extend(more);
                Self::Object(one, rest)
            }
            // The members of the other object are unknown: the known ones stay.
            (Self::Object(members, mut rest), other) | (other, Self::Object(members, mut rest)) => {
                rest.extend(other.columns());
                Self::Object(members, rest)
            }
            (one, other) => Self::Unknown(joined([&one, &other])),
        }
    }

    /// Returns the shape of an element of a list, or of a member whose name is unknown.
    pub(super) fn element(&self) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::List(element, _) => (**element).clone(),
            Self::Object(members, rest) => {
                let members = members.values().cloned().fold(Self::Never, Self::or);
                if rest.is_empty() { members } else { members.or(Self::Unknown(rest.clone())) }
            }
            other => Self::Unknown(other.columns()),
        }
    }

    /// Returns the columns from which the value is computed. For rows none: it is unknown which of
    /// their columns.
    pub(super) fn columns(&self) -> Columns {
        match self {
            Self::Never | Self::Rows(_) => Columns::new(),
            Self::List(element, _) => element.columns(),
            Self::Object(members, rest) => {
                let members = members.values().flat_map(Self::columns);
                members.chain(rest.iter().cloned()).collect()
            }
            Self::Plain(columns) | Self::Unknown(columns) => columns.clone(),
        }
    }

    /// Returns the columns of every member of an object, by path: `address.city`, `lines[].sku`.
    pub(super) fn fields(&self) -> BTreeMap<String, Columns> {
        let mut fields = BTreeMap::new();
        self.collect("", &mut fields);
        fields
    }

    fn collect(&self, path: &str, fields: &mut BTreeMap<String, Columns>) {
        match self {
            Self::Object(members, _) => {
                for (name, shape) in members {
                    let below = if path.is_empty() { String::new() } else { format!("{path}.") };
                    shape.collect(&format!("{below}{name}"), fields);
                }
            }
            Self::List(element, _) => element.collect(&format!("{path}[]"), fields),
            other => fields.entry(path.to_owned()).or_default().extend(other.columns()),
        }
    }
}

/// Returns the columns of all shapes.
pub(super) fn joined<'s>(shapes: impl IntoIterator<Item = &'s Shape>) -> Columns {
    shapes.into_iter().flat_map(Shape::columns).collect()
}
