//! The number of outputs of a term, if it is certain.

use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part, Path};

use super::scope::{Env, Means, T, bound, extended};

/// Maximum nesting of inspected definitions.
const DEEPEST: usize = 16;

/// Returns the number of outputs of a term, if it is the same for all inputs.
pub(super) fn outputs<'t, 's>(term: &'t T<'s>, env: &Env<'t, 's>, depth: usize) -> Option<usize> {
    match term {
        Term::BinOp(left, BinaryOp::Comma, right) => {
            Some(outputs(left, env, depth)? + outputs(right, env, depth)?)
        }
        term => is_single(term, env, depth).then_some(1),
    }
}

fn is_single<'t, 's>(term: &'t T<'s>, env: &Env<'t, 's>, depth: usize) -> bool {
    let single = |term: &'t T<'s>| is_single(term, env, depth);
    match term {
        Term::Id | Term::Num(_) | Term::Arr(_) | Term::Var(_) => true,
        Term::Str(_, parts) => parts.iter().all(|part| match part {
            jaq_core::load::lex::StrPart::Term(inner) => single(inner),
            _ => true,
        }),
        Term::Neg(inner) => single(inner),
        Term::BinOp(left, operation, right) => match operation {
            BinaryOp::Pipe(None) | BinaryOp::Alt | BinaryOp::Or | BinaryOp::And => {
                single(left) && single(right)
            }
            BinaryOp::Math(_) | BinaryOp::Cmp(_) => single(left) && single(right),
            _ => false,
        },
        Term::IfThenElse(branches, otherwise) => {
            let mut branches = branches.iter();
            branches.all(|(condition, then)| single(condition) && single(then))
                && otherwise.as_deref().is_none_or(single)
        }
        Term::Path(head, Path(parts)) => {
            let part = |(part, opt): &'t (Part<T<'s>>, Opt)| match (part, opt) {
                (Part::Index(index), Opt::Essential) => single(index),
                _ => false,
            };
            single(head) && parts.iter().all(part)
        }
        Term::Def(definitions, inner) => is_single(inner, &extended(env, definitions), depth),
        Term::Call(name, arguments) => called(name, arguments, env, depth),
        _ => false,
    }
}

fn called<'t, 's>(name: &str, arguments: &'t [T<'s>], env: &Env<'t, 's>, depth: usize) -> bool {
    let mut scope = env.as_ref();
    while let Some(found) = scope {
        scope = found.outer.as_ref();
        if found.name != name {
            continue;
        }
        match &found.means {
            Means::Argument(term, of) if arguments.is_empty() => {
                return depth < DEEPEST && is_single(term, of, depth + 1);
            }
            Means::Definition(definition) if definition.args.len() == arguments.len() => {
                let mut inner = Some(found.clone());
                for (parameter, argument) in definition.args.iter().copied().zip(arguments) {
                    // `$name` is a value for each output of the argument.
                    if parameter.starts_with('$') && !is_single(argument, env, depth) {
                        return false;
                    }
                    let plain = parameter.trim_start_matches('$');
                    inner = bound(&inner, plain, Means::Argument(argument, env.clone()));
                }
                return depth < DEEPEST && is_single(&definition.body, &inner, depth + 1);
            }
            _ => {}
        }
    }
    let mut arguments = arguments.iter();
    is_plain(name) && arguments.all(|argument| is_single(argument, env, depth))
}

/// Returns whether a native filter returns one text or number, computed from its input and arguments.
pub(super) fn is_plain(name: &str) -> bool {
    matches!(
        name,
        "trim"
            | "ltrim"
            | "rtrim"
            | "ltrimstr"
            | "rtrimstr"
            | "ascii_downcase"
            | "ascii_upcase"
            | "floor"
            | "round"
            | "ceil"
            | "date"
            | "date_time"
            | "days_since"
            | "julian_day"
            | "unix_time"
            | "local_time"
            | "local_date"
            | "without_zone"
            | "utc"
            | "uid"
            | "base64_decode"
            | "base64_encode"
            | "hex_decode"
            | "hex_encode"
            | "repair_utf8"
            | "repair_cp1252"
            | "decimal"
            | "dec_div"
            | "dec_round"
            | "dec_neg"
            | "dec_normal"
            | "dec_add"
            | "dec_sub"
            | "dec_mul"
    )
}
