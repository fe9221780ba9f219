//! Adds a step counter to jq programs, so that none of them runs for ever.
//!
//! jq's iterators return control only between two outputs, and `[range(1e12)]` has a single one. So
//! every program, jq's own library included, is rewritten before it is compiled: a filter named
//! [`TICK`] is inserted at the head of each definition, after each pipe, in each loop and after each
//! `.[]`. It returns its input, and fails when the run exceeds its steps, its time or its stack, or
//! when the value has grown too large.

use std::collections::HashSet;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

/// The counting filter. No program can write this name.
pub(super) const TICK: &str = "!tick";
/// Multiplication that refuses to repeat a string beyond bounds.
pub(super) const MULTIPLY: &str = "!multiply";
const FACTOR: &str = "$!factor";
/// Fails if the text of a value would be too large.
pub(super) const WEIGH: &str = "!weigh";
/// Counts the values collected into an array.
pub(super) const COLLECT: &str = "!collect";
/// Built-ins that convert a value to text, as `"\(.)"` does. If the value has shared parts, as in `[.,
/// .] | [., .]`, the text grows without bounds while the value does not, and they cannot be
/// interrupted.
const WRITING: [&str; 2] = ["tojson", "tobytes"];

type T<'s> = Term<&'s str>;

/// Calls a function on every term below and including `term`, the innermost first.
fn each<'s>(term: &mut T<'s>, f: &mut dyn FnMut(&mut T<'s>)) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(inner) = part {
                    each(inner, f);
                }
            }
        }
        Term::Arr(inner) => inner.iter_mut().for_each(|inner| each(inner, f)),
        Term::Obj(members) => {
            for (key, value) in members {
                each(key, f);
                value.iter_mut().for_each(|value| each(value, f));
            }
        }
        Term::Neg(inner) | Term::Label(_, inner) => each(inner, f),
        Term::BinOp(left, operation, right) => {
            each(left, f);
            if let BinaryOp::Pipe(Some(pattern)) = operation {
                each_in_pattern(pattern, f);
            }
            each(right, f);
        }
        Term::Fold(_, values, pattern, arguments) => {
            each(values, f);
            each_in_pattern(pattern, f);
            arguments.iter_mut().for_each(|argument| each(argument, f));
        }
        Term::TryCatch(tried, caught) => {
            each(tried, f);
            caught.iter_mut().for_each(|caught| each(caught, f));
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                each(condition, f);
                each(then, f);
            }
            otherwise.iter_mut().for_each(|otherwise| each(otherwise, f));
        }
        Term::Def(definitions, inner) => {
            definitions.iter_mut().for_each(|definition| each(&mut definition.body, f));
            each(inner, f);
        }
        Term::Call(_, arguments) => arguments.iter_mut().for_each(|argument| each(argument, f)),
        Term::Path(head, Path(parts)) => {
            each(head, f);
            for (part, _) in parts {
                match part {
                    Part::Index(index) => each(index, f),
                    Part::Range(from, to) => {
                        from.iter_mut().chain(to).for_each(|bound| each(bound, f));
                    }
                }
            }
        }
    }
    f(term);
}

fn each_in_pattern<'s>(pattern: &mut Pattern<&'s str>, f: &mut dyn FnMut(&mut T<'s>)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => patterns.iter_mut().for_each(|inner| each_in_pattern(inner, f)),
        Pattern::Obj(members) => {
            for (key, inner) in members {
                each(key, f);
                each_in_pattern(inner, f);
            }
        }
    }
}

fn tick<'s>() -> Box<T<'s>> {
    Box::new(Term::Call(TICK, Vec::new()))
}

/// `!tick | term`.
fn ticked<'s>(term: &mut T<'s>) {
    let inner = Box::new(std::mem::take(term));
    *term = Term::BinOp(tick(), BinaryOp::Pipe(None), inner);
}

/// Rewrites a program so that it counts its steps.
pub(super) fn counted(term: &mut T<'_>) {
    each(term, &mut |term| match term {
        Term::BinOp(_, BinaryOp::Pipe(_), right) => ticked(right),
        Term::BinOp(left, BinaryOp::Math(Math::Mul), right) => {
            let (left, right) = (std::mem::take(&mut **left), std::mem::take(&mut **right));
            *term = Term::Call(MULTIPLY, vec![left, right]);
        }
        // `l *= r` is `r as $x | l |= . * $x`.
        Term::BinOp(left, BinaryOp::UpdateMath(Math::Mul), right) => {
            let (left, right) = (std::mem::take(left), std::mem::take(right));
            let product = Term::Call(MULTIPLY, vec![Term::Id, Term::Var(FACTOR)]);
            let update = Term::BinOp(left, BinaryOp::Update, Box::new(product));
            let bind = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
            *term = Term::BinOp(right, bind, Box::new(update));
        }
        Term::Call(name, _) if WRITING.contains(name) => {
            let call = Box::new(std::mem::take(term));
            let weigh = Box::new(Term::Call(WEIGH, Vec::new()));
            *term = Term::BinOp(weigh, BinaryOp::Pipe(None), call);
        }
        Term::Str(None, parts) => {
            for part in parts {
                let StrPart::Term(inner) = part else { continue };
                let value = Box::new(std::mem::take(inner));
                let weigh = Box::new(Term::Call(WEIGH, Vec::new()));
                *inner = Term::BinOp(value, BinaryOp::Pipe(None), weigh);
            }
        }
        Term::Arr(Some(inner)) => {
            let values = Box::new(std::mem::take(&mut **inner));
            let collect = Box::new(Term::Call(COLLECT, Vec::new()));
            **inner = Term::BinOp(values, BinaryOp::Pipe(None), collect);
        }
        Term::Fold(_, _, _, arguments) => arguments.iter_mut().skip(1).for_each(ticked),
        Term::Def(definitions, _) => {
            definitions.iter_mut().for_each(|definition| ticked(&mut definition.body));
        }
        Term::Path(_, Path(parts))
            if parts.iter().any(|(part, _)| matches!(part, Part::Range(None, None))) =>
        {
            let inner = Box::new(std::mem::take(term));
            *term = Term::BinOp(inner, BinaryOp::Pipe(None), tick());
        }
        _ => {}
    });
}

/// Rewrites a definition so that each call of it counts as a step.
pub(super) fn counted_definition(definition: &mut Def<&str>) {
    counted(&mut definition.body);
    ticked(&mut definition.body);
}

/// The filters a term calls, by name and number of arguments, without those it defines itself.
pub(super) fn calls<'s>(term: &mut T<'s>, own: &[&'s str]) -> Vec<(&'s str, usize)> {
    let mut local: HashSet<&str> = own.iter().copied().collect();
    let mut called = Vec::new();
    each(term, &mut |term| match term {
        Term::Call(name, arguments) => called.push((*name, arguments.len())),
        Term::Str(Some(format), _) => called.push((*format, 0)),
        Term::Def(definitions, _) => {
            for definition in definitions {
                local.insert(definition.name);
                local.extend(definition.args.iter().copied());
            }
        }
        _ => {}
    });
    called.retain(|(name, _)| !local.contains(name));
    called
}

/// The names and constants in a term.
#[derive(Debug, Default)]
pub(super) struct Mentions<'s> {
    /// Variables, with their `$`.
    pub(super) variables: Vec<&'s str>,
    /// Constant strings.
    pub(super) texts: Vec<&'s str>,
    /// Tables whose ids it derives: the constant first arguments of `uid`.
    pub(super) tables: Vec<&'s str>,
    /// The filters it calls, with the arguments that are constant strings.
    pub(super) calls: Vec<(&'s str, Vec<Option<&'s str>>)>,
}

fn constant<'s>(term: &T<'s>) -> Option<&'s str> {
    let Term::Str(None, parts) = term else {
        return None;
    };
    let [StrPart::Str(text)] = parts.as_slice() else {
        return None;
    };
    Some(text)
}

/// Collects the names and constants in a term.
pub(super) fn mentions<'s>(term: &mut T<'s>, found: &mut Mentions<'s>) {
    each(term, &mut |term| match term {
        Term::Var(name) => found.variables.push(*name),
        Term::Call(name, arguments) => {
            let arguments: Vec<_> = arguments.iter().map(constant).collect();
            if *name == "uid" {
                found.tables.extend(arguments.first().copied().flatten());
            }
            found.calls.push((name, arguments));
        }
        term => found.texts.extend(constant(term)),
    });
}

/// Returns the definitions of a library that work with the given native filters: the others need
/// filters that are not available here.
pub(super) fn usable<'s>(
    mut library: Vec<Def<&'s str>>,
    natives: &HashSet<(&'s str, usize)>,
) -> Vec<Def<&'s str>> {
    loop {
        let before = library.len();
        let known: HashSet<(&str, usize)> = natives
            .iter()
            .copied()
            .chain(library.iter().map(|definition| (definition.name, definition.args.len())))
            .collect();
        library.retain_mut(|definition| {
            calls(&mut definition.body, &definition.args).iter().all(|call| known.contains(call))
        });
        if library.len() == before {
            return library;
        }
    }
}
