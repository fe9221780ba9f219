//! jq programs for mappings, run by jaq in a closed room: no environment, no clock, no input but
//! the document, no output but the result, and a bound on steps, time, stack and size.
//!
//! What the bounds cannot reach is a single built-in applied to one value (say a comparison of two
//! structures that share their parts a million times): it is not interrupted from within. The
//! caller then stops waiting ([`Runner`]) and the import ends with an error, while the thread is
//! left behind until the process ends.

mod decimal;
mod guard;
mod natives;
mod pattern;
mod runner;
mod shape;
mod text;
mod time;
mod values;

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use jaq_core::compile::Undefined;
use jaq_core::load::parse::Def;
use jaq_core::load::{self, Arena, File, Lexer, Loader, Parser};
use jaq_core::{Compiler, Ctx, Filter, Vars};
use jaq_json::Val;

use crate::mapping::Names;
use guard::Mentions;
use natives::{Data, Kind, Room};
pub(crate) use runner::{Job, Runner};
pub(crate) use shape::{Misreading, Place, Programmed, misread};
pub(crate) use values::{from_json, object, to_json, to_plain};

type Error = jaq_core::Error<Val>;

/// What a program may use up before it is stopped.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls, loops and pipes.
    pub steps: u64,
    /// Time.
    pub time: Duration,
    /// Bytes of a text, or elements of an array or object, that a step may meet.
    pub size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 2_000_000, time: Duration::from_secs(5), size: 16 << 20 }
    }
}

/// Why a program cannot be used. The text says where in the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// Why a run gave no state. The text never holds data: values are blotted out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The program failed.
    #[error("the program failed: {0}")]
    Failed(String),
    /// The program went beyond a limit.
    #[error("the program was stopped: {0}")]
    Stopped(&'static str),
    /// Not exactly one output.
    #[error("the program gave {0} outputs, it must give exactly one")]
    Outputs(&'static str),
    /// The output is no JSON value of a sensible size.
    #[error("the program's output {0}")]
    Output(&'static str),
}

/// A compiled program. Cheap to share between threads.
pub struct Program {
    filter: Filter<Kind>,
    /// String constants of the program: an error that is one of them holds no data.
    texts: HashSet<String>,
    tables: BTreeSet<String>,
    limits: Limits,
    names: Names,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Program(…)")
    }
}

/// What jq has and a mapping must not: it would make the result depend on more than the document,
/// end the process or leak data.
const FORBIDDEN: [(&str, &str); 18] = [
    ("env", "the environment is not for mappings"),
    ("$ENV", "the environment is not for mappings"),
    ("now", "a state must not depend on the time of the import"),
    ("localtime", "a state must not depend on the machine's time zone"),
    ("strflocaltime", "a state must not depend on the machine's time zone"),
    ("mktime", "use `date`, `date_time` and `utc`"),
    ("input", "a program has one input, the document"),
    ("inputs", "a program has one input, the document"),
    ("input_filename", "a program has one input, the document"),
    ("input_line_number", "a program has one input, the document"),
    ("debug", "it would print personal data"),
    ("debug_empty", "it would print personal data"),
    ("stderr", "it would print personal data"),
    ("stderr_empty", "it would print personal data"),
    ("halt", "it would end the whole import; use error(\"why\")"),
    ("halt_error", "it would end the whole import; use error(\"why\")"),
    ("get_search_list", "there are no modules"),
    ("$__prog_args", "there are no arguments"),
];

impl Program {
    /// Compiles a program together with definitions shared by all programs of a mapping.
    ///
    /// `names` is what `uid` makes ids of.
    pub(crate) fn compile(
        definitions: &str,
        program: &str,
        names: impl Into<Names>,
        limits: Limits,
    ) -> Result<Self, CompileError> {
        let names = names.into();
        let shared = parse(definitions, "jq.defs", |parser| parser.defs())?;
        let main = parse(program, "program", |parser| parser.term())?;
        let mut own = shared;
        own.push(Def { name: "main", args: Vec::new(), body: main });

        let natives: Vec<_> = natives::all().collect();
        let known = natives.iter().map(|(name, arguments, _)| (*name, arguments.len())).collect();
        let library: Vec<Def<&str>> =
            jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).collect();
        let mut library = guard::usable(library, &known);
        library
            .extend(parse(include_str!("defs.jq"), "bascule's library", |parser| parser.defs())?);

        let (mut texts, mut tables) = (HashSet::new(), BTreeSet::new());
        let redefined: HashSet<(&str, usize)> =
            own.iter().map(|definition| (definition.name, definition.args.len())).collect();
        let mut defined: HashSet<&str> = own.iter().map(|definition| definition.name).collect();
        defined.extend(library.iter().map(|definition| definition.name));
        for definition in &mut own {
            let mut found = Mentions::default();
            guard::mentions(&mut definition.body, &mut found);
            texts.extend(found.texts.into_iter().map(str::to_owned));
            tables.extend(found.tables.into_iter().map(str::to_owned));
            for (name, arguments) in found.calls {
                let mistake = natives::mistake(name, &arguments);
                if let Some(mistake) =
                    mistake.filter(|_| !redefined.contains(&(name, arguments.len())))
                {
                    let place = place(name, &[("jq.defs", definitions), ("program", program)]);
                    return Err(CompileError(format!("{place}: {mistake}")));
                }
            }
            let called = guard::calls(&mut definition.body, &definition.args);
            let called = called.into_iter().map(|(name, _)| name).chain(found.variables);
            for name in called.filter(|name| !defined.contains(name)) {
                if let Some((_, why)) = FORBIDDEN.iter().find(|(forbidden, _)| *forbidden == name) {
                    let place = place(name, &[("jq.defs", definitions), ("program", program)]);
                    return Err(CompileError(format!(
                        "{place}: `{name}` is not available in mappings: {why}"
                    )));
                }
            }
        }

        let mut prelude: Vec<Def<&str>> = library.into_iter().chain(own).collect();
        prelude.iter_mut().for_each(guard::counted_definition);
        let arena = Arena::default();
        let modules = Loader::new(prelude)
            .load(&arena, File { code: "main", path: () })
            .map_err(|_| CompileError("the program cannot be loaded".to_owned()))?;
        let filter = Compiler::default().with_funs(natives).compile(modules).map_err(|errors| {
            let undefined =
                errors.into_iter().flat_map(|(_, errors)| errors).map(|(name, undefined)| {
                    let place = place(name, &[("jq.defs", definitions), ("program", program)]);
                    let arity = match undefined {
                        Undefined::Filter(arity) => format!("/{arity}"),
                        _ => String::new(),
                    };
                    format!("{place}: there is no {} `{name}{arity}`", undefined.as_str())
                });
            CompileError(undefined.collect::<Vec<_>>().join("; "))
        })?;
        Ok(Self { filter, texts, tables, limits, names })
    }

    /// The tables whose ids the program makes with `uid("…")`.
    pub fn tables(&self) -> &BTreeSet<String> {
        &self.tables
    }

    /// Whether a text, such as the name of a column, stands in the program.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Runs the program on the thread it is called on, which should have the stack of a
    /// [`Runner`]'s.
    pub(crate) fn run(&self, input: Val, stack: usize) -> Result<serde_json::Value, RunError> {
        let room = Room::new(self.limits, &self.names, stack, Instant::now() + self.limits.time);
        let data = Data { lut: &self.filter.lut, room: &room };
        let context = Ctx::<Kind>::new(data, Vars::new([]));
        let mut outputs = self.filter.id.run((context, input));
        let first = outputs.next();
        let result = match first {
            None => Err(RunError::Outputs("no")),
            Some(Ok(value)) => match outputs.next() {
                None => values::to_json(&value, self.limits.steps).map_err(RunError::Output),
                Some(_) => Err(RunError::Outputs("several")),
            },
            Some(Err(exception)) => Err(match exception.get_err() {
                Ok(error) => RunError::Failed(self.without_data(error)),
                Err(_) => RunError::Failed("it left by a `break`".to_owned()),
            }),
        };
        // A `try` may have caught the stop and gone on with a wrong answer.
        room.stopped().map_or(result, |why| Err(RunError::Stopped(why)))
    }

    /// An error's text without the values in it: it goes to the quarantine and to logs.
    fn without_data(&self, error: Error) -> String {
        let text = beginning(&error);
        let constant = serde_json::from_str::<String>(&text)
            .ok()
            .filter(|text| self.texts.contains(text) || natives::is_ours(text));
        constant.unwrap_or_else(|| blotted(&text))
    }
}

/// The beginning of an error's text, which may hold whole values.
fn beginning(error: &Error) -> String {
    struct Beginning(String);
    impl std::fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            const MOST: usize = 4_096;
            if self.0.len() + text.len() > MOST {
                return Err(std::fmt::Error);
            }
            self.0.push_str(text);
            Ok(())
        }
    }
    let mut beginning = Beginning(String::new());
    // It fails when there is enough of it.
    let _ = std::fmt::Write::write_fmt(&mut beginning, format_args!("{error}"));
    beginning.0
}

/// Replaces what stands in quotes and all digits.
fn blotted(text: &str) -> String {
    const MOST: usize = 160;
    let mut clean = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted => {
                quoted = false;
                clean.push('"');
            }
            '"' => {
                quoted = true;
                clean.push_str("\"…");
            }
            _ if quoted => {}
            digit if digit.is_numeric() => {
                if !clean.ends_with('#') {
                    clean.push('#');
                }
            }
            other => clean.push(other),
        }
    }
    if clean.chars().count() > MOST {
        clean = clean.chars().take(MOST).chain("…".chars()).collect();
    }
    clean
}

fn parse<'s, R: Default>(
    code: &'s str,
    what: &str,
    rule: impl for<'t> FnOnce(&mut Parser<'s, 't>) -> load::parse::Result<'s, 't, R>,
) -> Result<R, CompileError> {
    let tokens = Lexer::new(code).lex().map_err(|errors| {
        let found = errors.first().map_or("", |(_, found)| found);
        let place = line(code, found);
        CompileError(format!("{what}, line {place}: unexpected character"))
    })?;
    Parser::new(&tokens).parse(rule).map_err(|errors| {
        let Some((expected, found)) = errors.first() else {
            return CompileError(format!("{what}: not a jq program"));
        };
        let (place, found) = found.map_or_else(
            || (code.lines().count().max(1), "the end".to_owned()),
            |token| (line(code, token.as_str()), format!("`{}`", token.as_str())),
        );
        CompileError(format!("{what}, line {place}: expected {}, found {found}", expected.as_str()))
    })
}

/// The line on which a part of a text stands.
fn line(whole: &str, part: &str) -> usize {
    let start = load::span(whole, part).start;
    1 + whole.get(..start).map_or(0, |before| before.matches('\n').count())
}

/// Where a name taken from one of several texts stands.
fn place(name: &str, codes: &[(&str, &str)]) -> String {
    let start = name.as_ptr() as usize;
    codes
        .iter()
        .find(|(_, code)| {
            let first = code.as_ptr() as usize;
            (first..first + code.len()).contains(&start)
        })
        .map_or_else(
            || "jq's library".to_owned(),
            |(what, code)| format!("{what}, line {}", line(code, name)),
        )
}

#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod tests;
