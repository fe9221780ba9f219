//! jq programs for mappings, run by jaq in a sandbox: no environment, no clock, no input but the
//! document, no output but the result, and limits on steps, time, stack and size.
//!
//! The limits do not apply within a single built-in called on one value (such as a comparison of two
//! structures that share their parts a million times), which cannot be interrupted. The caller then
//! stops waiting ([`Runner`]) and the import ends with an error, while the thread remains until the
//! process ends.

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

use crate::mapping::{Names, nearest};
use guard::Mentions;
pub(crate) use natives::NamedRow;
use natives::{Data, Kind, Room};
pub(crate) use runner::{Job, Runner};
pub(crate) use shape::{DocumentNode, Misreading, Programmed, Wrong, findings};
pub(crate) use values::{from_json, object, to_json, to_plain};

/// The name of the shared definitions in messages.
pub(crate) const DEFS: &str = "jq.defs";
/// The name of a program in messages.
pub(crate) const PROGRAM: &str = "program";

type Error = jaq_core::Error<Val>;

/// The limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of calls, loops and pipes.
    pub steps: u64,
    /// Maximum duration.
    pub time: Duration,
    /// Maximum bytes of a text, or elements of an array or object, in any step.
    pub size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 2_000_000, time: Duration::from_secs(5), size: 16 << 20 }
    }
}

/// Why a program cannot be compiled, and the place of the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, line {line}: {problem}")]
pub struct CompileError {
    /// The text with the error: `program` or `jq.defs`.
    pub place: &'static str,
    /// The line in that text.
    pub line: usize,
    /// The offset in that text, in bytes.
    pub at: usize,
    /// What is wrong.
    pub problem: String,
}

impl CompileError {
    fn new(place: &'static str, code: &str, at: usize, problem: String) -> Self {
        let line = 1 + code.get(..at).map_or(0, |before| before.matches('\n').count());
        Self { place, line, at, problem }
    }
}

/// Why a run returned no state. Never contains data: values are replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The program failed.
    #[error("the program failed: {0}")]
    Failed(String),
    /// The program exceeded a limit.
    #[error("the program was stopped: {0}")]
    Stopped(&'static str),
    /// The program returned no output, or several.
    #[error("the program returned {0} outputs; it must return exactly one")]
    Outputs(&'static str),
    /// The output is not a JSON value, or is too large.
    #[error("the program's output {0}")]
    Output(&'static str),
}

/// The result of a run.
pub(crate) type Answer = Result<serde_json::Value, RunError>;

/// A compiled program. Cheap to share between threads.
pub struct Program {
    filter: Filter<Kind>,
    /// String constants of the program: an error that equals one of them contains no data.
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

const TIMES: &str = "use `unix_time`, `date`, `date_time`, `utc` and `local_date`";
const INEXACT: &str = "it uses binary floating point; use `dec_mul` and `dec_div` for amounts";

/// Features of jq that mappings cannot use, because the result would depend on more than the document,
/// or because they end the process or leak data; and omitted features, with their replacement.
const FORBIDDEN: &[(&str, &str)] = &[
    ("env", "mappings cannot read the environment"),
    ("$ENV", "mappings cannot read the environment"),
    ("now", "a state must not depend on the time of the import"),
    ("localtime", "a state must not depend on the machine's time zone"),
    ("strflocaltime", "a state must not depend on the machine's time zone"),
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
    ("get_search_list", "modules are not supported"),
    ("$__prog_args", "a program has no arguments"),
    ("mktime", TIMES),
    ("gmtime", TIMES),
    ("todate", TIMES),
    ("fromdate", TIMES),
    ("dateadd", TIMES),
    ("datesub", TIMES),
    ("todateiso8601", TIMES),
    ("fromdateiso8601", TIMES),
    ("strftime", TIMES),
    ("strptime", TIMES),
    ("IN", "use `any(…; . == $x)`"),
    ("INDEX", "use `map({(.key | tostring): .}) | add`"),
    ("GROUP_BY", "use `group_by`"),
    ("tostream", "use `paths` and `getpath`"),
    ("fromstream", "use `setpath`"),
    ("leaf_paths", "use `paths(scalars)`"),
    ("trimstr", "use `ltrimstr` and `rtrimstr`"),
    ("toarray", "use `if type == \"array\" then . else [.] end`"),
    ("pow", INEXACT),
    ("sqrt", INEXACT),
    ("log", INEXACT),
    ("exp", INEXACT),
];

impl Program {
    /// Compiles a program together with definitions shared by all programs of a mapping.
    ///
    /// `names` are the names for which `uid` derives ids.
    pub(crate) fn compile(
        definitions: &str,
        program: &str,
        names: impl Into<Names>,
        limits: Limits,
    ) -> Result<Self, CompileError> {
        let names = names.into();
        let shared = parse(definitions, DEFS, |parser| parser.defs())?;
        let main = parse(program, PROGRAM, |parser| parser.term())?;
        let mut own = shared;
        own.push(Def { name: "main", args: Vec::new(), body: main });

        let natives: Vec<_> = natives::all().collect();
        let known = natives.iter().map(|(name, arguments, _)| (*name, arguments.len())).collect();
        let library: Vec<Def<&str>> =
            jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).collect();
        let mut library = guard::usable(library, &known);
        library
            .extend(parse(include_str!("defs.jq"), "bascule's library", |parser| parser.defs())?);

        let at =
            |name: &str, problem| found_at(name, [DEFS, PROGRAM], [definitions, program], problem);
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
                    return Err(at(name, mistake));
                }
            }
            let called = guard::calls(&mut definition.body, &definition.args);
            let called = called.into_iter().map(|(name, _)| name).chain(found.variables);
            for name in called.filter(|name| !defined.contains(name)) {
                if let Some((_, why)) = FORBIDDEN.iter().find(|(forbidden, _)| *forbidden == name) {
                    return Err(at(name, format!("`{name}` is not available in mappings: {why}")));
                }
            }
        }

        let defined = library.iter().chain(&own).map(|one| (one.name.to_owned(), one.args.len()));
        let offered =
            natives.iter().map(|(name, arguments, _)| ((*name).to_owned(), arguments.len()));
        let is_said = |name: &str| name.starts_with(|letter: char| letter.is_ascii_alphabetic());
        let filters: BTreeSet<(String, usize)> =
            defined.chain(offered).filter(|(name, _)| is_said(name)).collect();
        let mut prelude: Vec<Def<&str>> = library.into_iter().chain(own).collect();
        prelude.iter_mut().for_each(guard::counted_definition);
        let arena = Arena::default();
        let modules = Loader::new(prelude)
            .load(&arena, File { code: "main", path: () })
            .map_err(|_| at("", "cannot load the program".to_owned()))?;
        let filter = Compiler::default().with_funs(natives).compile(modules).map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, errors)| errors).next();
            let Some((name, undefined)) = undefined else {
                return at("", "cannot compile the program".to_owned());
            };
            let (arity, meant) = match undefined {
                Undefined::Filter(arity) => (format!("/{arity}"), meant_filter(name, &filters)),
                _ => (String::new(), String::new()),
            };
            let kind = undefined.as_str();
            at(name, format!("there is no {kind} `{name}{arity}`{meant}"))
        })?;
        Ok(Self { filter, texts, tables, limits, names })
    }

    /// Returns the tables whose ids the program derives with `uid("…")`.
    pub fn tables(&self) -> &BTreeSet<String> {
        &self.tables
    }

    /// Returns whether a text, such as the name of a column, occurs in the program.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Runs the program on the calling thread, which should have a stack as large as that of a
    /// [`Runner`].
    pub(crate) fn run(&self, input: Val, stack: usize) -> Answer {
        self.run_in(&self.room(stack), input)
    }

    /// The same; also returns the rows whose ids the program derived.
    pub(crate) fn run_noting(&self, input: Val, stack: usize) -> (Answer, Vec<NamedRow>) {
        let room = self.room(stack).noting();
        (self.run_in(&room, input), room.named())
    }

    fn room(&self, stack: usize) -> Room<'_> {
        Room::new(self.limits, &self.names, stack, Instant::now() + self.limits.time)
    }

    fn run_in(&self, room: &Room<'_>, input: Val) -> Answer {
        let data = Data { lut: &self.filter.lut, room };
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
                Err(_) => RunError::Failed("a `break` left the program".to_owned()),
            }),
        };
        // A `try` may have caught the stop and continued with a wrong result.
        room.stopped().map_or(result, |why| Err(RunError::Stopped(why)))
    }

    /// Returns an error's text without the values in it: it is stored in the quarantine and logged.
    fn without_data(&self, error: Error) -> String {
        let text = beginning(&error);
        let constant = serde_json::from_str::<String>(&text)
            .ok()
            .filter(|text| self.texts.contains(text) || natives::is_ours(text));
        constant.unwrap_or_else(|| blotted(&text))
    }
}

/// Returns the type of the value at the beginning of a text, in words.
fn kind_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a text",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b'n') => "null",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    }
}

/// Returns the beginning of an error's text, which may contain whole values.
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
    // It fails as soon as there is enough text.
    let _ = std::fmt::Write::write_fmt(&mut beginning, format_args!("{error}"));
    beginning.0
}

/// Replaces quoted texts and all digits.
fn blotted(text: &str) -> String {
    const MOST: usize = 160;
    // Errors of jaq's own filters: the type of the value is what the author needs.
    let misused = text.strip_prefix("cannot use ").and_then(|text| text.rsplit_once(" as "));
    if let Some((value, wanted)) = misused {
        return format!("cannot use {} as {wanted}", kind_of(value));
    }
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

/// Returns a suggestion for an unknown filter: one of the same name with other arguments, or the
/// nearest name.
fn meant_filter(name: &str, filters: &BTreeSet<(String, usize)>) -> String {
    let same = filters.iter().filter(|(known, _)| known == name);
    let same: Vec<String> = same.map(|(name, arity)| format!("`{name}/{arity}`")).collect();
    if !same.is_empty() {
        return format!("; there is {}", same.join(", "));
    }
    let near = nearest(name, filters.iter().map(|(name, _)| name.as_str()));
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn parse<'s, R: Default>(
    code: &'s str,
    what: &'static str,
    rule: impl for<'t> FnOnce(&mut Parser<'s, 't>) -> load::parse::Result<'s, 't, R>,
) -> Result<R, CompileError> {
    let tokens = Lexer::new(code).lex().map_err(|errors| {
        let found = errors.first().map_or("", |(_, found)| found);
        let letter = found.chars().next();
        let letter = letter.map_or_else(|| "the end".to_owned(), |letter| format!("`{letter}`"));
        found_at(found, [what], [code], format!("unexpected character {letter}"))
    })?;
    Parser::new(&tokens).parse(rule).map_err(|errors| {
        let Some((expected, found)) = errors.first() else {
            return CompileError::new(what, code, 0, "not a jq program".to_owned());
        };
        let expected = expected.as_str();
        match found {
            None => {
                let problem = format!("expected {expected}, found the end");
                CompileError::new(what, code, code.trim_end().len(), problem)
            }
            Some(token) => {
                let problem = format!("expected {expected}, found `{}`", shortened(token.as_str()));
                found_at(token.as_str(), [what], [code], problem)
            }
        }
    })
}

/// Returns the beginning of a token, which may be everything in parentheses.
fn shortened(token: &str) -> String {
    const MOST: usize = 20;
    let line = token.lines().next().unwrap_or_default();
    let short: String = line.chars().take(MOST).collect();
    if short.len() < token.len() { format!("{short}…") } else { short }
}

/// Returns the error for a part of one of several texts.
fn found_at<const N: usize>(
    part: &str,
    places: [&'static str; N],
    codes: [&str; N],
    problem: String,
) -> CompileError {
    let start = part.as_ptr().addr();
    let mut texts = places.into_iter().zip(codes);
    let within = |code: &str| {
        let first = code.as_ptr().addr();
        (first..=first + code.len()).contains(&start)
    };
    match texts.find(|(_, code)| within(code)) {
        Some((place, code)) => {
            CompileError::new(place, code, start - code.as_ptr().addr(), problem)
        }
        None => CompileError::new("jq's library", "", 0, problem),
    }
}

#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod tests;
