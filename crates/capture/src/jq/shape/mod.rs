//! Analyses programs without running them, from the known shape of each value: a row of some place, a
//! list of rows, an object of the program's own, or the columns from which it is computed.
//!
//! jq returns null for a missing member, so that a misspelt name is a field that is empty in every
//! aggregate. The mapping defines which rows are at which place. Values that a program changes, or
//! parses from a column, are unknown and not checked. A name is reported only if none of the rows has
//! it from which it is read, over all calls: a definition may be used for several kinds of rows, and
//! some may lack the name. The same applies to the keys that `uid` receives.

mod count;
mod found;
mod scope;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part, Path};

use super::{CompileError, guard, natives, parse};
pub(crate) use found::{Findings, Misreading, Wrong};
use found::{Read, Seen, Spot};
use scope::{Env, Means, T, bound, extended, variable};
use value::{Shape, joined};

/// Maximum number of nested calls of one definition, as in `map(map(f))`.
const NESTED: usize = 4;
/// Maximum number of analysed terms. Beyond it, nothing is reported.
const BUDGET: usize = 200_000;

/// A place of a document.
#[derive(Debug, Clone, Default)]
pub(crate) struct DocumentNode {
    /// The table of its rows.
    pub(crate) table: String,
    /// The columns of a row.
    pub(crate) columns: BTreeSet<String>,
    /// The child places: the index, and whether there are several rows.
    pub(crate) below: BTreeMap<String, (usize, bool)>,
}

/// A program and the places of its documents; the first is the root.
#[derive(Debug)]
pub(crate) struct Programmed<'s> {
    pub(crate) program: &'s str,
    pub(crate) places: Vec<DocumentNode>,
}

/// Analyses all programs of a mapping. `keys` has the number of key columns of each root, by the name
/// that `uid` uses for it.
pub(crate) fn findings(
    definitions: &str,
    programs: &[Programmed<'_>],
    keys: &BTreeMap<String, usize>,
) -> Result<Findings, CompileError> {
    let shared = parse(definitions, "jq.defs", |parser| parser.defs())?;
    let library = library()?;
    let mut seen = Seen::default();
    let mut states = Vec::new();
    for (index, Programmed { program, places }) in programs.iter().enumerate() {
        let main = parse(program, "program", |parser| parser.term())?;
        let texts = [(None, definitions), (Some(index), *program)];
        let (under_way, budget) = (Vec::new(), BUDGET);
        let mut walk = Walk { places, keys, texts, seen, under_way, tolerant: 0, budget };
        let env = extended(&extended(&None, &library), &shared);
        let state = walk.term(&main, &Shape::Rows(BTreeSet::from([0])), &env);
        if walk.budget == 0 {
            return Ok(Findings::default());
        }
        states.push(state.fields());
        seen = walk.seen;
    }
    Ok(Findings { wrong: seen.wrong(), states })
}

fn library() -> Result<Vec<Def<&'static str>>, CompileError> {
    let ours = parse(include_str!("../defs.jq"), "bascule's library", |parser| parser.defs())?;
    let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    Ok(theirs.chain(ours).collect())
}

struct Walk<'w> {
    places: &'w [DocumentNode],
    keys: &'w BTreeMap<String, usize>,
    texts: [(Option<usize>, &'w str); 2],
    seen: Seen,
    /// The definitions being analysed, by address.
    under_way: Vec<usize>,
    /// The number of enclosing `try`: a name that is read there may be missing.
    tolerant: usize,
    budget: usize,
}

impl Walk<'_> {
    fn spot(&self, name: &str) -> Option<Spot> {
        let start = name.as_ptr().addr();
        self.texts.iter().find_map(|(program, text)| {
            let first = text.as_ptr().addr();
            (first..first + text.len()).contains(&start).then(|| (*program, start - first))
        })
    }

    /// Reads a member of a value.
    fn read(&mut self, name: &str, of: &Shape, optional: bool) -> Shape {
        let mut shape = Shape::Never;
        let found = optional || self.tolerant > 0;
        let mut read = Read { name: name.to_owned(), found, ..Read::default() };
        match of {
            Shape::Rows(at) => {
                for (at, place) in at.iter().map(|at| (*at, &self.places[*at])) {
                    let is_column = place.columns.contains(name);
                    shape = shape.or(match place.below.get(name) {
                        Some((below, several)) => {
                            let row = Shape::Rows(BTreeSet::from([*below]));
                            if *several { Shape::List(Box::new(row), None) } else { row }
                        }
                        None if is_column => Shape::Plain([(at, name.to_owned())].into()),
                        None => Shape::unknown(),
                    });
                    read.found |= is_column || place.below.contains_key(name);
                    read.tables.insert(place.table.clone());
                    read.known.extend(place.columns.iter().chain(place.below.keys()).cloned());
                }
                read.found |= at.is_empty();
            }
            Shape::List(..) => shape = Shape::unknown(),
            Shape::Object(members, rest) => {
                read.found = true;
                shape = match members.get(name) {
                    Some(member) => member.clone(),
                    None => Shape::Unknown(rest.clone()),
                };
            }
            Shape::Never => read.found = true,
            Shape::Plain(columns) | Shape::Unknown(columns) => {
                read.found = true;
                shape = Shape::Unknown(columns.clone());
            }
        }
        if let Some(spot) = self.spot(name) {
            self.seen.read(spot, read);
        }
        shape
    }

    /// Analyses a term with an unknown input.
    fn blindly<'t, 's>(&mut self, term: &'t T<'s>, env: &Env<'t, 's>) -> Shape {
        self.term(term, &Shape::unknown(), env)
    }

    fn term<'t, 's>(&mut self, term: &'t T<'s>, input: &Shape, env: &Env<'t, 's>) -> Shape {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            return Shape::unknown();
        }
        match term {
            Term::Id => input.clone(),
            Term::Recurse => Shape::Unknown(input.columns()),
            Term::Num(_) => Shape::plain(),
            Term::Break(_) => Shape::Never,
            Term::Str(_, parts) => {
                let parts: Vec<Shape> = parts
                    .iter()
                    .filter_map(|part| match part {
                        StrPart::Term(inner) => Some(self.term(inner, input, env)),
                        _ => None,
                    })
                    .collect();
                Shape::Plain(joined(&parts))
            }
            Term::Arr(None) => Shape::List(Box::new(Shape::Never), Some(0)),
            Term::Arr(Some(inner)) => {
                let count = count::outputs(inner, env, 0);
                Shape::List(Box::new(self.term(inner, input, env)), count)
            }
            Term::Obj(members) => self.object(members, input, env),
            Term::Neg(inner) => Shape::Plain(self.term(inner, input, env).columns()),
            Term::Label(_, inner) => self.term(inner, input, env),
            Term::BinOp(left, operation, right) => {
                self.operation(left, operation, right, input, env)
            }
            Term::Fold(_, values, pattern, arguments) => {
                let value = self.term(values, input, env);
                let inner = self.destructured(pattern, &value, input, env);
                let mut shape = Shape::Never;
                for (index, argument) in arguments.iter().enumerate() {
                    let made = Shape::Unknown(shape.columns());
                    let begins = if index == 0 { input } else { &made };
                    shape = shape.or(self.term(argument, begins, &inner));
                }
                Shape::Unknown(shape.columns())
            }
            Term::TryCatch(tried, caught) => {
                self.tolerant += 1;
                let tried = self.term(tried, input, env);
                self.tolerant -= 1;
                let caught = caught.iter().map(|caught| self.blindly(caught, env));
                caught.fold(tried, Shape::or)
            }
            Term::IfThenElse(branches, otherwise) => {
                let mut shape = Shape::Never;
                for (condition, then) in branches {
                    self.term(condition, input, env);
                    shape = shape.or(self.term(then, input, env));
                }
                match otherwise {
                    Some(otherwise) => shape.or(self.term(otherwise, input, env)),
                    None => shape.or(input.clone()),
                }
            }
            Term::Def(definitions, inner) => self.term(inner, input, &extended(env, definitions)),
            Term::Call(name, arguments) => self.call(name, arguments, input, env),
            Term::Var(name) => variable(env, name),
            Term::Path(head, Path(parts)) => {
                let mut shape = self.term(head, input, env);
                for (part, opt) in parts {
                    shape = self.part(part, *opt, shape, input, env);
                }
                shape
            }
        }
    }

    fn object<'t, 's>(
        &mut self,
        members: &'t [(T<'s>, Option<T<'s>>)],
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Shape {
        let (mut known, mut rest) = (BTreeMap::new(), BTreeSet::new());
        for (key, value) in members {
            let (name, shape) = match (value, constant(key), key) {
                (Some(value), Some(name), _) => (Some(name), self.term(value, input, env)),
                (Some(value), None, _) => {
                    self.term(key, input, env);
                    (None, self.term(value, input, env))
                }
                (None, Some(name), _) => (Some(name), self.read(name, input, false)),
                (None, None, Term::Var(name)) => (Some(&name[1..]), variable(env, name)),
                (None, None, key) => (None, self.term(key, input, env)),
            };
            match name {
                Some(name) => drop(known.insert(name.to_owned(), shape)),
                None => rest.extend(shape.columns()),
            }
        }
        Shape::Object(known, rest)
    }

    fn part<'t, 's>(
        &mut self,
        part: &'t Part<T<'s>>,
        opt: Opt,
        of: Shape,
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Shape {
        match part {
            Part::Index(index) => match constant(index) {
                Some(name) => self.read(name, &of, matches!(opt, Opt::Optional)),
                None => {
                    self.term(index, input, env);
                    of.element()
                }
            },
            Part::Range(None, None) => of.element(),
            Part::Range(from, to) => {
                for bound in [from, to].into_iter().flatten() {
                    self.term(bound, input, env);
                }
                match of {
                    Shape::List(element, _) => Shape::List(element, None),
                    of => Shape::Unknown(of.columns()),
                }
            }
        }
    }

    fn operation<'t, 's>(
        &mut self,
        left: &'t T<'s>,
        operation: &'t BinaryOp<&'s str>,
        right: &'t T<'s>,
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Shape {
        match operation {
            BinaryOp::Pipe(None) => {
                let between = self.term(left, input, env);
                self.term(right, &between, env)
            }
            BinaryOp::Pipe(Some(pattern)) => {
                let value = self.term(left, input, env);
                let env = self.destructured(pattern, &value, input, env);
                self.term(right, input, &env)
            }
            BinaryOp::Comma | BinaryOp::Alt => {
                let left = self.term(left, input, env);
                left.or(self.term(right, input, env))
            }
            BinaryOp::Math(Math::Add) => {
                let left = self.term(left, input, env);
                left.plus(self.term(right, input, env))
            }
            BinaryOp::Math(_) => {
                let sides = [self.term(left, input, env), self.term(right, input, env)];
                Shape::Unknown(joined(&sides))
            }
            BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {
                self.term(left, input, env);
                self.term(right, input, env);
                Shape::plain()
            }
            // The assigned member need not exist before.
            BinaryOp::Assign | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                self.blindly(left, env);
                let written = self.term(right, input, env);
                changed(input, &written)
            }
            BinaryOp::Update => {
                self.blindly(left, env);
                let written = self.blindly(right, env);
                changed(input, &written)
            }
        }
    }

    /// Returns the scope in which a pattern's variables have the parts of a value.
    fn destructured<'t, 's>(
        &mut self,
        pattern: &'t Pattern<&'s str>,
        value: &Shape,
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Env<'t, 's> {
        match pattern {
            Pattern::Var(name) => bound(env, name, Means::Variable(value.clone())),
            Pattern::Arr(patterns) => {
                let element = value.element();
                patterns.iter().fold(env.clone(), |env, pattern| {
                    self.destructured(pattern, &element, input, &env)
                })
            }
            Pattern::Obj(members) => {
                members.iter().fold(env.clone(), |env, (key, pattern)| {
                    // `{$name}` is `{name: $name}`.
                    let part = match key {
                        Term::Var(name) => {
                            let part = self.read(&name[1..], value, false);
                            let env = bound(&env, name, Means::Variable(part.clone()));
                            return self.destructured(pattern, &part, input, &env);
                        }
                        key => match constant(key) {
                            Some(name) => self.read(name, value, false),
                            None => {
                                self.term(key, input, &env);
                                value.element()
                            }
                        },
                    };
                    self.destructured(pattern, &part, input, &env)
                })
            }
        }
    }

    fn call<'t, 's>(
        &mut self,
        name: &'s str,
        arguments: &'t [T<'s>],
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Shape {
        if matches!((name, arguments.len()), ("empty", 0) | ("error", 0 | 1)) {
            arguments.iter().for_each(|argument| drop(self.term(argument, input, env)));
            return Shape::Never;
        }
        let mut scope = env.as_ref();
        while let Some(found) = scope {
            scope = found.outer.as_ref();
            if found.name != name {
                continue;
            }
            match &found.means {
                Means::Argument(term, of) if arguments.is_empty() => {
                    return self.term(term, input, of);
                }
                Means::Definition(definition) if definition.args.len() == arguments.len() => {
                    return self.inlined(definition, Some(Rc::clone(found)), arguments, input, env);
                }
                _ => {}
            }
        }
        self.native(name, arguments, input, env)
    }

    fn inlined<'t, 's>(
        &mut self,
        definition: &'t Def<&'s str>,
        of: Env<'t, 's>,
        arguments: &'t [T<'s>],
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Shape {
        let address = std::ptr::from_ref(definition).addr();
        if self.under_way.iter().filter(|other| **other == address).count() >= NESTED {
            // A recursive call: its arguments are not followed.
            arguments.iter().for_each(|argument| drop(self.blindly(argument, env)));
            self.forgive(definition);
            return Shape::unknown();
        }
        let mut inner = of;
        for (parameter, argument) in definition.args.iter().copied().zip(arguments) {
            if let Some(plain) = parameter.strip_prefix('$') {
                let value = self.term(argument, input, env);
                inner = bound(&inner, parameter, Means::Variable(value));
                inner = bound(&inner, plain, Means::Argument(argument, env.clone()));
            } else {
                inner = bound(&inner, parameter, Means::Argument(argument, env.clone()));
            }
        }
        self.under_way.push(address);
        let shape = self.term(&definition.body, input, &inner);
        self.under_way.pop();
        shape
    }

    /// Treats all names of a definition as known.
    fn forgive(&mut self, definition: &Def<&str>) {
        let mut body = definition.body.clone();
        let mut mentions = guard::Mentions::default();
        guard::mentions(&mut body, &mut mentions);
        for name in mentions.texts {
            if let Some(spot) = self.spot(name) {
                self.seen.forgive(spot);
            }
        }
    }

    fn native<'t, 's>(
        &mut self,
        name: &'s str,
        arguments: &'t [T<'s>],
        input: &Shape,
        env: &Env<'t, 's>,
    ) -> Shape {
        match (name, arguments) {
            ("sort_by" | "group_by" | "min_by_or_empty" | "max_by_or_empty", [by]) => {
                let element = input.element();
                self.term(by, &element, env);
                match (name, input) {
                    ("sort_by", _) => input.clone(),
                    ("group_by", Shape::List(..)) => Shape::List(Box::new(input.clone()), None),
                    ("group_by", _) => Shape::Unknown(input.columns()),
                    _ => element,
                }
            }
            ("first" | "last", [values]) => self.term(values, input, env),
            ("limit" | "skip", [count, values]) => {
                self.term(count, input, env);
                self.term(values, input, env)
            }
            ("sort" | "reverse", []) if matches!(input, Shape::List(..)) => input.clone(),
            _ => {
                let takes_values = natives::takes_values(name, arguments.len());
                let unknown = Shape::unknown();
                let of = if takes_values { input } else { &unknown };
                let mut given: Vec<Shape> =
                    arguments.iter().map(|argument| self.term(argument, of, env)).collect();
                if let ("uid", [table, key @ ..]) = (name, arguments) {
                    let key = if key.is_empty() { input } else { &given[1] };
                    self.names(name, constant(table), key);
                    return Shape::plain();
                }
                given.push(input.clone());
                match name {
                    // The result describes the value but does not contain it.
                    "length" | "utf8bytelength" | "has" | "contains" | "startswith"
                    | "endswith" | "indices" | "keys_unsorted" => Shape::plain(),
                    name if count::is_plain(name) => Shape::Plain(joined(&given)),
                    _ => Shape::Unknown(joined(&given)),
                }
            }
        }
    }

    /// Checks whether a key has as many columns as the keys of a table.
    fn names(&mut self, call: &str, table: Option<&str>, key: &Shape) {
        let Some((table, columns)) = table.and_then(|table| Some((table, *self.keys.get(table)?)))
        else {
            return;
        };
        let given = match key {
            Shape::List(_, given) => *given,
            Shape::Plain(made_of) if !made_of.is_empty() => Some(1),
            _ => None,
        };
        let wrong = given.filter(|given| *given != columns && self.tolerant == 0);
        if let Some(spot) = self.spot(call) {
            self.seen.key(spot, wrong.map(|given| (table.to_owned(), given)));
        }
    }
}

/// Returns the shape of a value after an assignment: rows, and lists of rows, become unknown.
fn changed(value: &Shape, written: &Shape) -> Shape {
    match value {
        Shape::Object(members, rest) => {
            let rest = rest.iter().cloned().chain(written.columns()).collect();
            Shape::Object(members.clone(), rest)
        }
        value => Shape::Unknown(joined([value, written])),
    }
}

fn constant<'s>(term: &T<'s>) -> Option<&'s str> {
    match term {
        Term::Str(None, parts) => match parts.as_slice() {
            [StrPart::Str(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
