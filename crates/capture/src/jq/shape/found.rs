//! Findings in programs: unknown names, ids of keys with a wrong number of columns, and the columns
//! from which the fields of a state are computed.

use std::collections::{BTreeMap, BTreeSet};

use super::value::Columns;

/// A place of a program that is most likely a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misreading {
    /// The program; `None` for the shared definitions.
    pub(crate) program: Option<usize>,
    /// The offset in that text, in bytes.
    pub(crate) at: usize,
    /// The mistake.
    pub(crate) what: Wrong,
}

/// The kind of mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A name that none of the rows has from which it is read.
    Name {
        /// The name.
        name: String,
        /// The tables of the rows; empty if it is read from a list of rows.
        tables: BTreeSet<String>,
        /// The existing names.
        known: BTreeSet<String>,
    },
    /// A key for `uid` with a wrong number of columns.
    Key {
        /// The first argument of `uid`.
        table: String,
        /// The number of values given for the key.
        given: usize,
    },
}

/// The findings in all programs.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The mistakes, in the order of the text.
    pub(crate) wrong: Vec<Misreading>,
    /// For each program, the columns from which the fields of its state are computed.
    pub(crate) states: Vec<BTreeMap<String, Columns>>,
}

/// The place of a name: the text, and the offset in it.
pub(super) type Spot = (Option<usize>, usize);

/// The results of a name's readings so far.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) found: bool,
    pub(super) tables: BTreeSet<String>,
    pub(super) known: BTreeSet<String>,
}

/// The result of a call of `uid` so far: the table and the number of values that do not match its key,
/// unless they matched, or may have matched, in some call.
type Named = Option<(String, usize)>;

/// The findings so far. A name is a mistake only if it is one in every reading.
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

    /// Treats a name as known.
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
