//! Checks a mapping file and converts it into a [`Mapping`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use toml::Spanned;

use super::file::{AggregateFile, ColumnType, CompareBy, EdgeFile, MappingFile, TableFile};
use super::names::{self, meant};
use super::{
    Aggregate, Column, Compare, Direction, Edge, KeyForm, Link, LinkId, Mapping, MappingError,
    Mask, Names, Node, Table, TableId, keys, roots,
};
use crate::jq::{Limits, Program};
use crate::unavailable::Placeholder;

/// Maximum nesting of rows in a document.
const DEEPEST: usize = 8;

pub(super) struct Check<'c> {
    text: &'c str,
    commands: Option<&'c BTreeSet<String>>,
}

type Checked<T> = Result<T, MappingError>;

impl<'c> Check<'c> {
    pub(super) fn new(text: &'c str, commands: Option<&'c BTreeSet<String>>) -> Self {
        Self { text, commands }
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.get(..at).unwrap_or_default().matches('\n').count()
    }

    fn fail<T>(&self, at: usize, place: &str, problem: String) -> Checked<T> {
        let line = self.line(at);
        Err(MappingError::Invalid { line, place: place.to_owned(), problem })
    }

    pub(super) fn mapping(&self, file: &MappingFile) -> Checked<Mapping> {
        if *file.version.get_ref() != 1 {
            let problem = format!("version {} is not supported: write 1", file.version.get_ref());
            return self.fail(file.version.span().start, "version", problem);
        }
        let source = file.source.get_ref();
        if source.is_empty() || source.contains('/') {
            let problem =
                "a name without `/` is needed: it is the first part of every id".to_owned();
            return self.fail(file.source.span().start, "source", problem);
        }
        let mut tables = Vec::new();
        for (name, table) in &file.tables {
            tables.push(self.table(name, table)?);
        }
        let table_ids = tables.iter().enumerate().map(|(id, table)| (table.name.clone(), id));
        let in_small = tables
            .iter()
            .enumerate()
            .map(|(id, table)| (format!("{}{}", file.tables_from, table.name).to_lowercase(), id));
        let unavailable_forms = Placeholder::new(&file.unavailable);
        let mut mapping = Mapping {
            source: source.clone(),
            topics_in_small: in_small.collect(),
            tables_from: file.tables_from.clone(),
            unavailable: file.unavailable.clone(),
            unavailable_forms,
            ignore: file.ignore.clone(),
            table_ids: table_ids.collect::<HashMap<_, _>>(),
            tables,
            links: Vec::new(),
            aggregates: Vec::new(),
            mirror_fingerprint: String::new(),
            text: self.text.to_owned(),
            made_of: Vec::new(),
        };
        if file.aggregates.is_empty() {
            return self.fail(
                0,
                "aggregates",
                "there is no aggregate, so nothing would be sent: add one".to_owned(),
            );
        }
        let aggregates = file.aggregates_in_order();
        let files = aggregates.iter().map(|(_, aggregate)| aggregate.get_ref());
        keys::find_numbers(&mut mapping.tables, &mapping.table_ids, files);
        let mut names = mapping.names();
        // Ids with a name of their own use the root's keys.
        for file in aggregates.iter().map(|(_, aggregate)| aggregate.get_ref()) {
            let Some(ids) = file.ids.as_ref().map(|ids| ids.get_ref()) else { continue };
            if let Some(form) = names.forms.get(&file.root).cloned() {
                names.forms.insert(ids.clone(), form);
            }
            if let Some(columns) = names.key_columns.get(&file.root).copied() {
                names.key_columns.insert(ids.clone(), columns);
            }
        }
        for (name, aggregate) in &aggregates {
            let checked = self.aggregate(name, aggregate, (&file.jq.defs, &names), &mut mapping)?;
            mapping.aggregates.push(checked);
        }
        self.references(&mapping, &aggregates)?;
        for (id, aggregate) in mapping.aggregates.iter().enumerate() {
            for (node, place) in aggregate.nodes.iter().enumerate() {
                mapping.tables[place.table].uses.push((id, node));
            }
        }
        for (id, link) in mapping.links.iter().enumerate() {
            mapping.tables[link.table].links.push(id);
            mapping.tables[link.table].joining.extend(link.columns.iter().cloned());
        }
        for (name, spanned) in &file.tables {
            let table = &mapping.tables[mapping.table_ids[name]];
            if let Some(column) = table.personal.intersection(&table.joining).next() {
                let problem = format!(
                    "`{column}` joins rows and cannot be in `personal`: an erasure would separate the rows. \
                     Join by another column with the same meaning, or leave `{column}` out of \
                     `personal` if it is not about a person"
                );
                return self.fail(
                    spanned.span().start,
                    &format!("tables.{}", quoted(name)),
                    problem,
                );
            }
        }
        if let Some((id, problem)) = roots::unerasable(&mapping) {
            let (name, file) = aggregates[id];
            let place = format!("aggregates.{}", quoted(name));
            return self.fail(file.span().start, &place, problem);
        }
        mapping.mirror_fingerprint = mirror_fingerprint(&mapping);
        Ok(mapping)
    }

    fn table(&self, name: &str, spanned: &Spanned<TableFile>) -> Checked<Table> {
        let (table, at) = (spanned.get_ref(), spanned.span().start);
        let place = format!("tables.{}", quoted(name));
        if table.key.is_empty() {
            return self.fail(at, &place, "`key` must name at least one column".to_owned());
        }
        let mut columns = BTreeMap::new();
        let masks = table.keep.iter().map(|column| (column, Mask::Keep));
        for (column, mask) in masks.chain(table.hash.iter().map(|column| (column, Mask::Hash))) {
            let kind = table.types.get(column).copied();
            if mask == Mask::Hash && table.key.contains(column) {
                let problem = format!("`{column}` is part of the key and cannot be in `hash`");
                return self.fail(at, &place, problem);
            }
            let optional = table.optional.contains(column);
            if columns.insert(column.clone(), Column { mask, kind, optional }).is_some() {
                let problem = format!("column `{column}` is listed twice in `keep` and `hash`");
                return self.fail(at, &place, problem);
            }
        }
        for column in &table.key {
            let kind = table.types.get(column).copied();
            let kept = Column { mask: Mask::Keep, kind, optional: false };
            columns.entry(column.clone()).or_insert(kept);
        }
        for (list, column) in table
            .types
            .keys()
            .map(|column| ("types", column))
            .chain(table.optional.iter().map(|column| ("optional", column)))
            .chain(table.personal.iter().map(|column| ("personal", column)))
        {
            if !columns.contains_key(column) {
                let problem =
                    format!("`{list}` names `{column}`, which is not in `keep` or `hash`");
                return self.fail(at, &place, problem);
            }
        }
        if let Some(column) = table.personal.iter().find(|column| table.key.contains(column)) {
            let problem = format!("`{column}` is part of the key and cannot be in `personal`");
            return self.fail(at, &place, problem);
        }
        Ok(Table {
            name: name.to_owned(),
            line: self.line(at),
            key: table.key.clone(),
            form: KeyForm {
                compare: Compare {
                    trimmed: table.compare.by().contains(&CompareBy::Trimmed),
                    nocase: table.compare.by().contains(&CompareBy::Nocase),
                },
                numeric: Vec::new(),
            },
            columns,
            personal: table.personal.iter().cloned().collect(),
            links: Vec::new(),
            joining: BTreeSet::new(),
            uses: Vec::new(),
        })
    }

    fn aggregate(
        &self,
        name: &str,
        spanned: &Spanned<AggregateFile>,
        (definitions, names): (&str, &Names),
        mapping: &mut Mapping,
    ) -> Checked<Aggregate> {
        let (file, at) = (spanned.get_ref(), spanned.span().start);
        let place = format!("aggregates.{}", quoted(name));
        let Some(&root) = mapping.table_ids.get(&file.root) else {
            let meant = meant(&file.root, mapping.table_ids.keys().map(String::as_str));
            let problem =
                format!("`root` is `{}`, which is not in [tables]: add it{meant}", file.root);
            return self.fail(at, &place, problem);
        };
        if let Some(commands) = self.commands.filter(|known| !known.contains(&file.command)) {
            let known: Vec<&str> = commands.iter().map(String::as_str).collect();
            let meant = meant(&file.command, known.iter().copied());
            let known = known.join(", ");
            let problem =
                format!("there is no command `{}`; known commands: {known}{meant}", file.command);
            return self.fail(at, &place, problem);
        }
        if let Some(problem) = roots::mistake(file, root, mapping) {
            return self.fail(
                file.ids.as_ref().map_or(at, |ids| ids.span().start),
                &place,
                problem,
            );
        }
        let ids = file.ids.as_ref().map(|ids| ids.get_ref().clone());
        let mut nodes = vec![Node {
            path: String::new(),
            field: String::new(),
            table: root,
            edge: None,
            follow: true,
            required: false,
            children: Vec::new(),
        }];
        // A parent's path is a prefix of its children's, so it sorts before them.
        for (path, edge) in &file.rows {
            let place = format!("{place}.rows.\"{path}\"");
            self.node(path, edge, &place, &mut nodes, mapping)?;
        }
        let program = &file.jq.program;
        let compiled =
            Program::compile(definitions, program.get_ref(), names.clone(), Limits::default());
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                return Err(names::uncompiled(self.text, name, program, definitions, error));
            }
        };
        let rows = file.rows.iter().map(|(k, v)| (k, v.get_ref())).collect::<Vec<_>>();
        let rows = format!("{rows:?}");
        let mut parts = vec![definitions, program.get_ref(), &file.root, &file.command, &rows];
        parts.extend(ids.as_deref());
        let fingerprint = fingerprint(&parts);
        Ok(Aggregate {
            name: name.to_owned(),
            command: file.command.clone(),
            root,
            ids,
            nodes,
            program: Arc::new(compiled),
            fingerprint,
        })
    }

    fn node(
        &self,
        path: &str,
        spanned: &Spanned<EdgeFile>,
        place: &str,
        nodes: &mut Vec<Node>,
        mapping: &mut Mapping,
    ) -> Checked<()> {
        let (file, at) = (spanned.get_ref(), spanned.span().start);
        let (parent_path, field) = path.rsplit_once('.').unwrap_or(("", path));
        let Some(parent) = nodes.iter().position(|node| node.path == parent_path) else {
            let problem = format!("there are no rows at `{parent_path}`: define that place first");
            return self.fail(at, place, problem);
        };
        if field.is_empty() || path.split('.').count() > DEEPEST {
            let problem = format!("a path has 1 to {DEEPEST} names, separated by dots");
            return self.fail(at, place, problem);
        }
        let (direction, table_name, columns) = match file {
            EdgeFile {
                many: Some(table), fk: Some(columns), one: None, reference: None, ..
            } => (Direction::Many, table, columns.all()),
            EdgeFile {
                one: Some(table), reference: Some(columns), many: None, fk: None, ..
            } => (Direction::One, table, columns.all()),
            _ => {
                let problem = "write either `many` with `fk` or `one` with `ref`".to_owned();
                return self.fail(at, place, problem);
            }
        };
        let Some(&table) = mapping.table_ids.get(table_name) else {
            let meant = meant(table_name, mapping.table_ids.keys().map(String::as_str));
            let problem = format!("table `{table_name}` is not in [tables]: add it{meant}");
            return self.fail(at, place, problem);
        };
        if direction == Direction::Many && file.required {
            let problem =
                "`required` can only be used with `one`: a `many` may have no rows".to_owned();
            return self.fail(at, place, problem);
        }
        let (names, named) = match direction {
            Direction::Many => (table, nodes[parent].table),
            Direction::One => (nodes[parent].table, table),
        };
        let link = self.link(at, place, (names, named, columns, file), mapping)?;
        let id = nodes.len();
        nodes[parent].children.push(id);
        nodes.push(Node {
            path: path.to_owned(),
            field: field.to_owned(),
            table,
            edge: Some(Edge { parent, link, direction }),
            follow: file.follow,
            required: file.required,
            children: Vec::new(),
        });
        Ok(())
    }

    fn link(
        &self,
        at: usize,
        place: &str,
        (table, named, columns, file): (TableId, TableId, &[String], &EdgeFile),
        mapping: &mut Mapping,
    ) -> Checked<LinkId> {
        let (name, target) = (&mapping.tables[table].name, &mapping.tables[named]);
        if target.key.len() != columns.len() {
            let problem =
                format!("{}: name as many columns here, in that order", target.key_in_words());
            return self.fail(at, place, problem);
        }
        if file.prefix.is_some() && columns.len() > 1 {
            let problem = "`prefix` can only be used with a single column".to_owned();
            return self.fail(at, place, problem);
        }
        for (column, key) in columns.iter().zip(&target.key) {
            let Some(found) = mapping.tables[table].columns.get(column) else {
                let kept = mapping.tables[table].columns.keys();
                let problem = format!(
                    "table `{name}` has no column `{column}` in `keep`: add it to tables.{}.keep{}",
                    quoted(name),
                    meant(column, kept.map(String::as_str))
                );
                return self.fail(at, place, problem);
            };
            if found.mask == Mask::Hash {
                let problem = format!(
                    "`{column}` of `{name}` is in `hash`, so it cannot refer to a row: put it in `keep` instead"
                );
                return self.fail(at, place, problem);
            }
            let key_kind = target.columns.get(key).and_then(|key| key.kind);
            let is_time = |kind: Option<ColumnType>| kind.is_some_and(ColumnType::is_time);
            if found.kind != key_kind && (is_time(found.kind) || is_time(key_kind)) {
                let problem = format!(
                    "`{column}` of `{name}` and the key `{key}` of `{}` have different `types`, so \
                     they would never be equal",
                    target.name
                );
                return self.fail(at, place, problem);
            }
        }
        let (columns, prefix) = (columns.to_vec(), file.prefix.clone());
        let link = Link { table, columns, prefix, form: target.form.clone() };
        Ok(mapping.links.iter().position(|known| *known == link).unwrap_or_else(|| {
            mapping.links.push(link);
            mapping.links.len() - 1
        }))
    }

    /// Checks that every `uid("table")` derives the id of an aggregate.
    fn references(
        &self,
        mapping: &Mapping,
        files: &[(&String, &Spanned<AggregateFile>)],
    ) -> Checked<()> {
        let roots: BTreeSet<&str> =
            mapping.aggregates.iter().map(|aggregate| mapping.id_name(aggregate)).collect();
        for (aggregate, (name, file)) in mapping.aggregates.iter().zip(files) {
            let tables = aggregate.program.tables();
            if let Some(table) = tables.iter().find(|table| !roots.contains(table.as_str())) {
                let problem = format!(
                    "uid(\"{table}\") is not the id of an aggregate; the roots are {}",
                    roots.iter().copied().collect::<Vec<_>>().join(", ")
                );
                let at = file.get_ref().jq.program.span().start;
                return self.fail(at, &format!("aggregates.{}.jq", quoted(name)), problem);
            }
        }
        Ok(())
    }
}

/// Returns a name as written in a TOML path.
pub(super) fn quoted(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.bytes().all(bare) { name.to_owned() } else { format!("\"{name}\"") }
}

fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// Returns the fingerprint of everything on which the mirror's content depends. Which columns may be
/// missing is not part of it: a missing column is stored as null in either case.
fn mirror_fingerprint(mapping: &Mapping) -> String {
    let tables: Vec<String> = mapping.tables.iter().map(table_fingerprint).collect();
    let mut links: Vec<_> = (0..mapping.links.len()).map(|link| mapping.link_name(link)).collect();
    links.sort();
    fingerprint(&[&mapping.unavailable, &tables.join("\n"), &format!("{links:?}")])
}

fn table_fingerprint(table: &Table) -> String {
    let columns = table.columns.iter();
    let columns = columns.map(|(name, Column { mask, kind, .. })| (name, mask, kind));
    let columns: Vec<_> = columns.collect();
    let Table { name, key, form, .. } = table;
    let fingerprint = format!("{:?}", (name, key, columns, form.compare));
    // Mirrors without decimal numbers in their keys have always had this content.
    if form.has_numbers() { format!("{fingerprint}{:?}", form.numeric) } else { fingerprint }
}
