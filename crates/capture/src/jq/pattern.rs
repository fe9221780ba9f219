//! Regular expressions for mapping programs: the base of jq's own `test`, `match`, `capture`, `scan`,
//! `split`, `sub` and `gsub`, with a matcher whose time is linear in the length of the text (crate
//! `regex`: no look-around, no back-references).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jaq_core::native::bome;
use jaq_core::{Cv, ValXs};
use jaq_json::Val;
use regex::{Captures, Regex, RegexBuilder};

use super::Error;
use super::natives::{Kind, check, complaint, text_of};
use super::values::object;

const NO_PATTERN: &str = "the regular expression is not valid, or too large";
const NO_FLAGS: &str = "unknown flag; the flags are g, i, l, m, n, p, s, x";
const NOT_TEXT: &str = "only text can be matched";
const TOO_LONG: &str = "the text is too long for a regular expression: more than 65536 bytes";

/// The error messages of these filters.
pub(super) const MESSAGES: &[&str] = &[NO_PATTERN, NO_FLAGS, NOT_TEXT, TOO_LONG];

/// Maximum bytes of the compiled form.
const COMPILED: usize = 256 << 10;
/// Maximum bytes of the searched text. The time to search all matches may grow with the square of its
/// length.
const LONGEST: usize = 64 << 10;
/// Number of compiled expressions cached per thread.
const KEPT: usize = 64;

thread_local! {
    static COMPILED_BEFORE: RefCell<HashMap<(String, String), Rc<Regex>>> = RefCell::default();
}

/// Compiles an expression, which is usually the same for a whole import.
fn compiled(pattern: &str, flags: &str) -> Result<Rc<Regex>, Error> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(known) = COMPILED_BEFORE.with_borrow(|known| known.get(&key).cloned()) {
        return Ok(known);
    }
    let built = Rc::new(build(pattern, flags).map_err(|_| complaint(NO_PATTERN))?);
    COMPILED_BEFORE.with_borrow_mut(|known| {
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Rc::clone(&built));
    });
    Ok(built)
}

fn build(pattern: &str, flags: &str) -> Result<Regex, regex::Error> {
    let has = |flag: char| flags.contains(flag);
    RegexBuilder::new(pattern)
        .size_limit(COMPILED)
        .dfa_size_limit(COMPILED)
        .nest_limit(64)
        .case_insensitive(has('i'))
        .multi_line(has('m') || has('p'))
        .dot_matches_new_line(has('s') || has('p'))
        .swap_greed(has('l'))
        .ignore_whitespace(has('x'))
        .build()
}

/// Returns whether all flags are known.
fn are_flags(flags: &str) -> bool {
    flags.chars().all(|flag| "gilmnpsx".contains(flag))
}

/// Returns the error in a constant expression and its flags.
pub(super) fn mistake(pattern: &str, flags: &str) -> Option<String> {
    if !are_flags(flags) {
        return Some(NO_FLAGS.to_owned());
    }
    build(pattern, flags).err().map(|error| match error {
        regex::Error::Syntax(text) => {
            let reason = text.lines().last().unwrap_or_default();
            format!("the regular expression is not valid: {reason}")
        }
        _ => NO_PATTERN.to_owned(),
    })
}

/// The parts of a text that a search returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// The matches.
    Matches,
    /// The texts between the matches.
    Between,
    /// Both, alternating.
    Both,
}

/// `matches($re; $flags)` and its variants: an array of the texts between the matches, and of the
/// matches, each an array of the whole match and its groups.
pub(super) fn search(mut cv: Cv<'_, Kind>, given: Given) -> ValXs<'_, Val> {
    let flags = cv.0.pop_var();
    let pattern = cv.0.pop_var();
    bome(found(&cv, &pattern, &flags, given))
}

fn found(cv: &Cv<'_, Kind>, pattern: &Val, flags: &Val, given: Given) -> Result<Val, Error> {
    if cv.1 == Val::Null {
        return Err(complaint(NOT_TEXT));
    }
    let text = text_of(&cv.1).ok_or_else(|| complaint(NOT_TEXT))?;
    if text.len() > LONGEST {
        return Err(complaint(TOO_LONG));
    }
    let flags = text_of(flags).filter(|flags| are_flags(flags));
    let flags = flags.ok_or_else(|| complaint(NO_FLAGS))?;
    let pattern = text_of(pattern).ok_or_else(|| complaint(NO_PATTERN))?;
    // These flags select matches and are not part of the expression.
    let own: String = flags.chars().filter(|flag| !"gn".contains(*flag)).collect();
    let expression = compiled(&pattern, &own)?;
    let mut parts = Vec::new();
    let mut after = 0;
    for captures in expression.captures_iter(&text) {
        check(&cv.0, &Val::Null)?;
        let Some(whole) = captures.get(0) else { continue };
        if flags.contains('n') && whole.is_empty() {
            continue;
        }
        if given != Given::Matches {
            parts.push(Val::utf8_str(text[after..whole.start()].to_owned()));
            after = whole.end();
        }
        if given != Given::Between {
            parts.push(groups(&text, &expression, &captures));
        }
        if !flags.contains('g') {
            break;
        }
    }
    if given != Given::Matches {
        parts.push(Val::utf8_str(text[after..].to_owned()));
    }
    Ok(parts.into_iter().collect())
}

/// Returns the whole match and its groups in the form of jq's manual: offsets in characters; a group
/// that did not participate has offset -1 and null.
fn groups(text: &str, expression: &Regex, captures: &Captures<'_>) -> Val {
    let names = expression.capture_names();
    let group = |(group, name): (Option<regex::Match<'_>>, Option<&str>)| {
        let (offset, length, string) = match group {
            Some(group) => (
                text[..group.start()].chars().count() as isize,
                group.as_str().chars().count() as isize,
                Val::utf8_str(group.as_str().to_owned()),
            ),
            None => (-1, 0, Val::Null),
        };
        let members =
            [("offset", Val::from(offset)), ("length", Val::from(length)), ("string", string)];
        let name = name.map(|name| ("name", Val::utf8_str(name.to_owned())));
        object(members.into_iter().chain(name))
    };
    captures.iter().zip(names).map(group).collect()
}
