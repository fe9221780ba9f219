//! What is said of programs: names that nothing has, ids of keys with other columns, and what the
//! fields of a state are made of.

use std::collections::{BTreeMap, BTreeSet};

use super::value::Columns;

/// A place of a program that cannot be meant as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misreading {
    /// The program; `None` for the shared definitions.
    pub(crate) program: Option<usize>,
    /// Where it stands there, in bytes.
    pub(crate) at: usize,
    /// What it is.
    pub(crate) what: Wrong,
}

/// What is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A name that is on none of the rows that it is read of.
    Name {
        /// The name.
        name: String,
        /// The tables of the rows; none where it is read of a list of rows.
        tables: BTreeSet<String>,
        /// The names there are.
        known: BTreeSet<String>,
    },
    /// An id of a key with another number of columns.
    Key {
        /// What the id is made with.
        table: String,
        /// How many values are given for the key.
        given: usize,
    },
}

/// What was found in all programs.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong, in the order of the text.
    pub(crate) wrong: Vec<Misreading>,
    /// For each program, the columns that the fields of its state are made of.
    pub(crate) states: Vec<BTreeMap<String, Columns>>,
}

/// Where a name stands: in which text, and where there.
pub(super) type Spot = (Option<usize>, usize);

/// What was said of a name's readings so far.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) found: bool,
    pub(super) tables: BTreeSet<String>,
    pub(super) known: BTreeSet<String>,
}

/// What was said of a call of `uid` so far: the table and how many values do not fit its key, unless
/// they did, or may have done, somewhere.
type Named = Option<(String, usize)>;

/// What was seen in the texts. Something is wrong only if it is, wherever it is come to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    reads: BTreeMap<Spot, Read>,
    keys: BTreeMap<Spot, Named>,
}

impl Seen {
    pub(super) fn read(&mut self, spot: Spot, read: Read) {
        let known = self.reads.entry(spot).or_default();
        known.name = read.name;
        known.found |= read.found;
        known.tables.extend(read.tables);
        known.known.extend(read.known);
    }

    /// Takes a name for found.
    pub(super) fn forgive(&mut self, spot: Spot) {
        self.reads.entry(spot).or_default().found = true;
    }

    pub(super) fn key(&mut self, spot: Spot, named: Named) {
        let known = self.keys.entry(spot).or_insert_with(|| named.clone());
        if named.is_none() {
            *known = None;
        }
    }

    pub(super) fn wrong(self) -> Vec<Misreading> {
        let reads = self.reads.into_iter().filter(|(_, read)| !read.found);
        let reads = reads.map(|((program, at), Read { name, tables, known, .. })| Misreading {
            program,
            at,
            what: Wrong::Name { name, tables, known },
        });
        let keys = self.keys.into_iter().filter_map(|((program, at), named)| {
            let (table, given) = named?;
            Some(Misreading { program, at, what: Wrong::Key { table, given } })
        });
        let mut wrong: Vec<_> = reads.chain(keys).collect();
        wrong.sort_by_key(|one| (one.program, one.at));
        wrong
    }
}
