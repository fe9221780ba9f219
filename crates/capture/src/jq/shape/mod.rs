//! Finds names that a program reads of rows which have no such column or place.
//!
//! jq gives null for what an object lacks, so a misspelt name is a field that stays empty in every
//! aggregate. Which rows stand where is known from the mapping; so the program is gone through with
//! what is known of each value: a row of some place, a list of them, or nothing. Whatever a program
//! makes itself, changes, or takes out of a column is not known, and nothing is said of it. A name
//! is reported only if it is on none of the rows that it is read of, wherever its place in the text
//! is come to: a definition may serve several kinds of rows, of which some lack it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part, Path};

use super::{CompileError, guard, natives, parse};

/// How often one definition may be under way within itself, as in `map(map(f))`.
const NESTED: usize = 4;
/// Terms gone through at most. Beyond, nothing is reported.
const BUDGET: usize = 200_000;

/// What is at a place of a document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The table of its rows.
    pub(crate) table: String,
    /// The columns of a row.
    pub(crate) columns: BTreeSet<String>,
    /// The places below: which, and whether there are several rows.
    pub(crate) below: BTreeMap<String, (usize, bool)>,
}

/// A program and the places of its documents; the first is the root.
#[derive(Debug)]
pub(crate) struct Programmed<'s> {
    pub(crate) program: &'s str,
    pub(crate) places: Vec<Place>,
}

/// A name that is on none of the rows that it is read of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misreading {
    /// The program; `None` for the shared definitions.
    pub(crate) program: Option<usize>,
    /// Where the name stands there, in bytes.
    pub(crate) at: usize,
    /// The name.
    pub(crate) name: String,
    /// The tables of the rows; none where it is read of a list of rows.
    pub(crate) tables: BTreeSet<String>,
    /// The names there are.
    pub(crate) known: BTreeSet<String>,
}

/// Finds them in all programs of a mapping.
pub(crate) fn misread(
    definitions: &str,
    programs: &[Programmed<'_>],
) -> Result<Vec<Misreading>, CompileError> {
    let shared = parse(definitions, "jq.defs", |parser| parser.defs())?;
    let library = library()?;
    let mut reads = BTreeMap::new();
    for (index, Programmed { program, places }) in programs.iter().enumerate() {
        let main = parse(program, "program", |parser| parser.term())?;
        let texts = [(None, definitions), (Some(index), *program)];
        let mut walk = Walk { places, texts, reads, under_way: Vec::new(), budget: BUDGET };
        let env = extended(&extended(&None, &library), &shared);
        walk.term(&main, &Shape::Rows(BTreeSet::from([0])), &env);
        if walk.budget == 0 {
            return Ok(Vec::new());
        }
        reads = walk.reads;
    }
    let misread = reads.into_iter().filter(|(_, read)| !read.found);
    Ok(misread
        .map(|((program, at), read)| {
            let Read { name, tables, known, .. } = read;
            Misreading { program, at, name, tables, known }
        })
        .collect())
}

fn library() -> Result<Vec<Def<&'static str>>, CompileError> {
    let ours = parse(include_str!("defs.jq"), "bascule's library", |parser| parser.defs())?;
    let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    Ok(theirs.chain(ours).collect())
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// There is none: `empty`.
    Never,
    /// A row at one of these places, or null.
    Rows(BTreeSet<usize>),
    /// A list of values.
    List(Box<Shape>),
    Unknown,
}

impl Shape {
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, shape) | (shape, Self::Never) => shape,
            (Self::Rows(mut one), Self::Rows(other)) => {
                one.extend(other);
                Self::Rows(one)
            }
            (Self::List(one), Self::List(other)) => Self::List(Box::new(one.or(*other))),
            _ => Self::Unknown,
        }
    }

    fn element(&self) -> Self {
        match self {
            Self::List(element) => (**element).clone(),
            Self::Never => Self::Never,
            _ => Self::Unknown,
        }
    }
}

/// Where a name stands: in which text, and where there.
type Spot = (Option<usize>, usize);

#[derive(Debug, Default)]
struct Read {
    name: String,
    found: bool,
    tables: BTreeSet<String>,
    known: BTreeSet<String>,
}

type T<'s> = Term<&'s str>;

/// Names in scope, the newest first.
type Env<'t, 's> = Option<Rc<Scope<'t, 's>>>;

struct Scope<'t, 's> {
    name: &'s str,
    means: Means<'t, 's>,
    outer: Env<'t, 's>,
}

enum Means<'t, 's> {
    Variable(Shape),
    Definition(&'t Def<&'s str>),
    /// An argument, with the scope of the call.
    Argument(&'t T<'s>, Env<'t, 's>),
}

fn bound<'t, 's>(env: &Env<'t, 's>, name: &'s str, means: Means<'t, 's>) -> Env<'t, 's> {
    Some(Rc::new(Scope { name, means, outer: env.clone() }))
}

fn extended<'t, 's>(env: &Env<'t, 's>, definitions: &'t [Def<&'s str>]) -> Env<'t, 's> {
    definitions.iter().fold(env.clone(), |env, definition| {
        bound(&env, definition.name, Means::Definition(definition))
    })
}

struct Walk<'w> {
    places: &'w [Place],
    texts: [(Option<usize>, &'w str); 2],
    reads: BTreeMap<Spot, Read>,
    /// The definitions being gone through, by address.
    under_way: Vec<usize>,
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

    /// Reads a name of a value.
    fn read(&mut self, name: &str, of: &Shape, tolerant: bool) -> Shape {
        let mut shape = Shape::Never;
        let mut read = Read { name: name.to_owned(), ..Read::default() };
        match of {
            Shape::Rows(places) => {
                for place in places.iter().map(|place| &self.places[*place]) {
                    if let Some((below, several)) = place.below.get(name) {
                        read.found = true;
                        let row = Shape::Rows(BTreeSet::from([*below]));
                        shape = shape.or(match several {
                            true => Shape::List(Box::new(row)),
                            false => row,
                        });
                    } else {
                        read.found |= place.columns.contains(name);
                        shape = shape.or(Shape::Unknown);
                    }
                    read.tables.insert(place.table.clone());
                    read.known.extend(place.columns.iter().chain(place.below.keys()).cloned());
                }
                read.found |= places.is_empty();
            }
            Shape::List(_) => shape = Shape::Unknown,
            Shape::Never | Shape::Unknown => {
                read.found = true;
                shape = of.clone();
            }
        }
        if let Some(spot) = self.spot(name) {
            let known = self.reads.entry(spot).or_default();
            known.name = read.name;
            known.found |= read.found || tolerant;
            known.tables.extend(read.tables);
            known.known.extend(read.known);
        }
        shape
    }

    /// Goes through a term without knowing its input.
    fn blindly<'t, 's>(&mut self, term: &'t T<'s>, env: &Env<'t, 's>) {
        self.term(term, &Shape::Unknown, env);
    }

    fn term<'t, 's>(&mut self, term: &'t T<'s>, input: &Shape, env: &Env<'t, 's>) -> Shape {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            return Shape::Unknown;
        }
        match term {
            Term::Id => input.clone(),
            Term::Recurse | Term::Num(_) => Shape::Unknown,
            Term::Break(_) => Shape::Never,
            Term::Str(_, parts) => {
                for part in parts {
                    if let StrPart::Term(inner) = part {
                        self.term(inner, input, env);
                    }
                }
                Shape::Unknown
            }
            Term::Arr(None) => Shape::List(Box::new(Shape::Never)),
            Term::Arr(Some(inner)) => Shape::List(Box::new(self.term(inner, input, env))),
            Term::Obj(members) => {
                for (key, value) in members {
                    match (value, constant(key)) {
                        (Some(value), _) => {
                            self.term(key, input, env);
                            self.term(value, input, env);
                        }
                        (None, Some(name)) => drop(self.read(name, input, false)),
                        (None, None) => drop(self.term(key, input, env)),
                    }
                }
                Shape::Unknown
            }
            Term::Neg(inner) => {
                self.term(inner, input, env);
                Shape::Unknown
            }
            Term::Label(_, inner) => self.term(inner, input, env),
            Term::BinOp(left, operation, right) => {
                self.operation(left, operation, right, input, env)
            }
            Term::Fold(_, values, pattern, arguments) => {
                let value = self.term(values, input, env);
                let inner = self.destructured(pattern, &value, input, env);
                for (index, argument) in arguments.iter().enumerate() {
                    let begins = if index == 0 { input } else { &Shape::Unknown };
                    self.term(argument, begins, &inner);
                }
                Shape::Unknown
            }
            Term::TryCatch(tried, caught) => {
                self.blindly(tried, env);
                caught.iter().for_each(|caught| self.blindly(caught, env));
                Shape::Unknown
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
                if matches!(of, Shape::List(_)) { of } else { Shape::Unknown }
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
                match (self.term(left, input, env), self.term(right, input, env)) {
                    (left @ Shape::List(_), right @ Shape::List(_)) => left.or(right),
                    _ => Shape::Unknown,
                }
            }
            BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) | BinaryOp::Math(_) => {
                self.term(left, input, env);
                self.term(right, input, env);
                Shape::Unknown
            }
            // What is written need not be there before.
            BinaryOp::Assign | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                self.blindly(left, env);
                self.term(right, input, env);
                Shape::Unknown
            }
            BinaryOp::Update => {
                self.blindly(left, env);
                self.blindly(right, env);
                Shape::Unknown
            }
        }
    }

    /// The scope in which a pattern's variables have the parts of a value.
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
                                Shape::Unknown
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
            // It calls itself: with what, is not followed.
            arguments.iter().for_each(|argument| self.blindly(argument, env));
            self.forgive(definition);
            return Shape::Unknown;
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

    /// Takes all names of a definition for found.
    fn forgive(&mut self, definition: &Def<&str>) {
        let mut body = definition.body.clone();
        let mut mentions = guard::Mentions::default();
        guard::mentions(&mut body, &mut mentions);
        for name in mentions.texts {
            if let Some(spot) = self.spot(name) {
                self.reads.entry(spot).or_default().found = true;
            }
        }
    }

    fn native<'t, 's>(
        &mut self,
        name: &str,
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
                    ("group_by", Shape::List(_)) => Shape::List(Box::new(input.clone())),
                    ("group_by", _) => Shape::Unknown,
                    _ => element,
                }
            }
            ("first" | "last", [values]) => self.term(values, input, env),
            ("limit" | "skip", [count, values]) => {
                self.term(count, input, env);
                self.term(values, input, env)
            }
            ("sort" | "reverse", []) if matches!(input, Shape::List(_)) => input.clone(),
            _ => {
                let takes_values = natives::takes_values(name, arguments.len());
                for argument in arguments {
                    let of = if takes_values { input } else { &Shape::Unknown };
                    self.term(argument, of, env);
                }
                Shape::Unknown
            }
        }
    }
}

fn variable(env: &Env<'_, '_>, name: &str) -> Shape {
    let mut scope = env.as_ref();
    while let Some(found) = scope {
        if let (true, Means::Variable(shape)) = (found.name == name, &found.means) {
            return shape.clone();
        }
        scope = found.outer.as_ref();
    }
    Shape::Unknown
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
mod tests {
    use super::*;

    fn place(table: &str, columns: &[&str], below: &[(&str, usize, bool)]) -> Place {
        Place {
            table: table.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            below: below
                .iter()
                .map(|(name, at, many)| ((*name).to_owned(), (*at, *many)))
                .collect(),
        }
    }

    fn names(definitions: &str, program: &str) -> Vec<String> {
        let places = vec![
            place(
                "sale",
                &["id", "state", "party", "doc"],
                &[("lines", 1, true), ("fees", 3, true), ("customer", 2, false)],
            ),
            place("line", &["id", "qty", "label"], &[("unit", 4, false)]),
            place("party", &["id", "name"], &[]),
            place("fee", &["id", "amount", "text"], &[]),
            place("unit", &["name"], &[]),
        ];
        let programs = [Programmed { program, places }];
        misread(definitions, &programs)
            .unwrap_or_else(|error| panic!("{program}: {error}"))
            .into_iter()
            .map(|one| one.name)
            .collect()
    }

    #[test]
    fn names_that_no_row_has_are_found_wherever_they_are_read() {
        for program in [
            ".custmer",
            "{custmer}",
            ".customer.nom",
            ".customer | .nom",
            "[.lines[] | {q: .qtty}]",
            ".lines | map(.qtty)",
            "[.lines[] | select(.qtty > 1)]",
            ".lines | sort_by(.qtty) | .[0].label",
            ".lines | sort_by(.id) | first | .qtty",
            "first(.lines[] | .qtty)",
            "[limit(2; .lines[])] | .[1].unit.nom",
            ".lines as $lines | [$lines[] | .qtty]",
            "(.lines | group_by(.unit.name)[] | .[0].qtty)",
            "reduce .lines[] as $line (0; . + $line.qtty)",
            "reduce .lines[].qtty as $q (0; . + $q)",
            "any(.lines[]; .qtty)",
            ".lines | min_by(.qtty)",
            "if .sate == 1 then 1 else 2 end",
            "\"\\(.sate)\"",
            ".sate // .state",
            "def f: .sate; f",
            "def f(g): .lines | map(g); f(.qtty)",
            "def f($x): $x.nom; f(.customer)",
            ". as {$sate} | $sate",
            ". as {customer: {nom: $n}} | $n",
            "(.lines + .lines)[] | .qtty",
            "(.lines[], .fees[]) | .prix",
            ".lines.qty",
            "(.sate | uid(\"sale\"))",
            "1 | uid(\"sale\"; [2])",
            "uid(\"sale\"; [.sate])",
            ".qty | dec_add(.sate)",
        ] {
            let wrong: &[&str] = match program {
                "1 | uid(\"sale\"; [2])" => &[],
                ".lines.qty" => &["qty"],
                ".qty | dec_add(.sate)" => &["qty"],
                _ => {
                    assert_eq!(names("", program).len(), 1, "{program}");
                    continue;
                }
            };
            assert_eq!(names("", program), wrong, "{program}");
        }
        assert_eq!(names("def titre: .lable;", "[.lines[] | titre]"), ["lable"]);
    }

    #[test]
    fn right_programs_are_left_alone() {
        for (definitions, program) in [
            ("", ".doc.whatever.is.within"),
            ("", ".extra = 1 | .extra"),
            ("", ".extra |= 1"),
            ("", ". + {extra: 1} | .extra"),
            ("", "{a: .state} | .a"),
            ("", ".extra?"),
            ("", "try .extra catch 1"),
            ("", ".[\"state\"]"),
            ("", "(\"st\" + \"ate\") as $n | .[$n]"),
            ("", "(.lines[], .fees[]) | .label // .text"),
            ("", "to_entries | map(.key)"),
            ("", "with_entries(.value |= tostring)"),
            ("", "[.lines[] | {a: .qty}] | map(.a) | add"),
            ("", ".lines | length"),
            ("", "[.lines[] | .unit.name] | unique | .[0]"),
            ("", "[recurse | .anything?]"),
            ("", "[.. | .anything?]"),
            ("", "[.lines | .[] | .label | split(\" \")[0]]"),
            ("", ".lines | map({id, qty}) | map(.qty)"),
            ("", "[.lines[] | select(false)][0].qty"),
            ("", "del(.extra) | .extra2"),
            ("", "path(.extra)"),
            ("def titre: .label // .text;", "[.lines[], .fees[] | titre]"),
            (
                "def titre: if has(\"label\") then .label else .text end;",
                "[(.lines[] | titre), (.fees[] | titre)]",
            ),
            ("def both(f): [(.lines[] | f), (.fees[] | f)];", "both(.label)"),
            ("def tree: .id, (.sub[]? | tree);", "[tree]"),
            ("def down: if .next == null then . else .next | down end;", "{next: .doc} | down"),
            ("def unused: .whatever;", ".state"),
            ("", ".customer as $c | .lines | map($c.name)"),
            ("", "[.lines[] | . as {$qty, unit: {name: $u}} | [$qty, $u]]"),
            ("", "[foreach .lines[] as $l ({n: 0}; .n += 1; .n)]"),
            ("", "if .customer then .customer else {name: \"?\"} end | .nom"),
        ] {
            assert_eq!(
                names(definitions, program),
                Vec::<String>::new(),
                "{definitions} {program}"
            );
        }
    }
}
