//! The filters a program can call that are not written in jq.

use std::cell::Cell;
use std::time::Instant;

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Cv, DataT, Exn, Lut, Native, RunPtr, ValXs};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::decimal;
use super::guard::{MULTIPLY, TICK};
use super::{Error, Limits};
use crate::ids::aggregate_id;
use crate::mapping::{Names, key_of};

/// Error texts of our own filters: constants, so they may be shown.
pub(super) const MESSAGES: [&str; 7] = [
    "a decimal must be text or a number",
    "not a decimal of at most 28 digits",
    "dec_sum takes an array",
    "a decimal result has more than 28 digits",
    "uid takes a key: a number or a text",
    "uid takes the name of a table",
    "a text would be repeated too often",
];

/// What one run has at its disposal.
pub(super) struct Room<'r> {
    limits: Limits,
    names: &'r Names,
    steps: Cell<u64>,
    stopped: Cell<Option<&'static str>>,
    deadline: Instant,
    /// An address near the bottom of the stack, and how far from it a run may go.
    base: usize,
    stack: usize,
}

impl<'r> Room<'r> {
    pub(super) fn new(limits: Limits, names: &'r Names, stack: usize, deadline: Instant) -> Self {
        Self {
            limits,
            names,
            steps: Cell::new(0),
            stopped: Cell::new(None),
            deadline,
            base: here(),
            // Half is left to what runs between two checks, such as dropping a deep value.
            stack: stack / 2,
        }
    }

    /// Why the run was stopped, if it was.
    pub(super) fn stopped(&self) -> Option<&'static str> {
        self.stopped.get()
    }

    fn check(&self, value: &Val) -> Result<(), Error> {
        if self.stopped.get().is_none() {
            let steps = self.steps.get() + 1;
            self.steps.set(steps);
            let why = if steps > self.limits.steps {
                Some("too many steps")
            } else if steps.is_multiple_of(256) && Instant::now() > self.deadline {
                Some("too slow")
            } else if self.base.abs_diff(here()) > self.stack {
                Some("too deep a recursion")
            } else if size(value) > self.limits.size {
                Some("too large a value")
            } else {
                None
            };
            self.stopped.set(why);
        }
        match self.stopped.get() {
            None => Ok(()),
            Some(why) => Err(Error::new(Val::utf8_str(why.to_owned()))),
        }
    }
}

#[inline(never)]
fn here() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(&local).addr()
}

fn size(value: &Val) -> usize {
    match value {
        Val::Arr(values) => values.len() * std::mem::size_of::<Val>(),
        Val::Obj(members) => members.len() * 2 * std::mem::size_of::<Val>(),
        _ => value.as_bytes().map_or(0, <[u8]>::len),
    }
}

/// What native filters can reach during a run.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) lut: &'a Lut<Kind>,
    pub(super) room: &'a Room<'a>,
}

/// The kind of data our programs work on.
pub(super) struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

impl<'a> jaq_core::data::HasLut<'a, Kind> for Data<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

/// All native filters, those of jaq that are harmless and ours.
pub(super) fn all() -> impl Iterator<Item = Fun<Kind>> {
    let replaced = ["halt", "range"];
    jaq_core::funs::<Kind>()
        .chain(jaq_std::base_funs())
        .chain(jaq_json::funs())
        .filter(move |(name, _, _)| !replaced.contains(name))
        .chain(ours())
}

fn ours() -> impl Iterator<Item = Fun<Kind>> {
    let tick = Native::new(|cv: Cv<'_, Kind>| bome(check(&cv.0, &cv.1).map(|()| cv.1)))
        .with_paths(|cv| {
            let checked = check(&cv.0, &cv.1.0).map_err(Exn::from);
            box_once(checked.map(|()| cv.1))
        })
        .with_update(|cv, update| match check(&cv.0, &cv.1) {
            Ok(()) => update(cv.1),
            Err(error) => box_once(Err(Exn::from(error))),
        });
    let filters: [jaq_core::native::Filter<RunPtr<Kind>>; 12] = [
        (MULTIPLY, v(2), multiply),
        ("range", v(3), range),
        ("uid", v(1), uid),
        ("decimal", v(0), |cv| bome(decimal::decimal(&cv.1))),
        ("dec_neg", v(0), |cv| bome(decimal::negate(&cv.1))),
        ("dec_normal", v(0), |cv| bome(decimal::normal(&cv.1))),
        ("dec_scale", v(0), |cv| bome(decimal::scale(&cv.1))),
        ("dec_sum", v(0), |cv| bome(decimal::sum(&cv.1))),
        ("dec_add", v(1), |cv| unary(cv, |value, other| decimal::add(&value, &other))),
        ("dec_sub", v(1), |cv| unary(cv, |value, other| decimal::subtract(&value, &other))),
        ("dec_mul", v(1), |cv| unary(cv, |value, other| decimal::multiply(&value, &other))),
        ("dec_cmp", v(1), |cv| unary(cv, |value, other| decimal::compare(&value, &other))),
    ];
    filters.into_iter().map(|filter| run::<Kind>(filter)).chain([(TICK, v(0), tick)])
}

fn check(context: &jaq_core::Ctx<'_, Kind>, value: &Val) -> Result<(), Error> {
    context.data().room.check(value)
}

/// `l * r`, but for a text that would grow out of proportion.
fn multiply(mut cv: Cv<'_, Kind>) -> ValXs<'_, Val> {
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    let limit = cv.0.data().room.limits.size;
    let grows = |text: &Val, times: &Val| {
        let length = text.as_bytes().map_or(0, <[u8]>::len);
        let times = times.as_f64().unwrap_or(0.0);
        length as f64 * times > limit as f64
    };
    if grows(&left, &right) || grows(&right, &left) {
        return bome(Err(Error::new(Val::utf8_str(
            "a text would be repeated too often".to_owned(),
        ))));
    }
    bome(left * right)
}

/// `range($from; $to; $by)` that counts its steps.
fn range(mut cv: Cv<'_, Kind>) -> ValXs<'_, Val> {
    let by = cv.0.pop_var();
    let to = cv.0.pop_var();
    let mut next = Some(cv.0.pop_var());
    let context = cv.0;
    let zero = Val::from(0_isize);
    Box::new(std::iter::from_fn(move || {
        let value = next.take()?;
        let inside = match by.cmp(&zero) {
            std::cmp::Ordering::Greater => value < to,
            std::cmp::Ordering::Less => value > to,
            std::cmp::Ordering::Equal => value != to,
        };
        if !inside {
            return None;
        }
        if let Err(error) = check(&context, &value) {
            return Some(Err(Exn::from(error)));
        }
        Some((value.clone() + by.clone()).map_err(Exn::from).map(|following| {
            next = Some(following);
            value
        }))
    }))
}

/// `uid("table")`: the id of the aggregate whose root row has the input as its key.
fn uid(mut cv: Cv<'_, Kind>) -> ValXs<'_, Val> {
    let table = cv.0.pop_var();
    let message = |text: &str| bome(Err(Error::new(Val::utf8_str(text.to_owned()))));
    let part = |value: &Val| match value {
        Val::Num(number) => Some(number.to_string()),
        Val::TStr(_) => {
            Some(String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned())
        }
        _ => None,
    };
    let key = match &cv.1 {
        Val::Null => return bome(Ok(Val::Null)),
        Val::Arr(parts) if parts.iter().any(|part| matches!(part, Val::Null)) => {
            return bome(Ok(Val::Null));
        }
        Val::Arr(parts) => parts.iter().map(part).collect::<Option<_>>().map(key_of),
        single => part(single),
    };
    let Some(key) = key else {
        return message("uid takes a key: a number or a text");
    };
    let Some(table) = table.as_utf8_bytes().map(String::from_utf8_lossy) else {
        return message("uid takes the name of a table");
    };
    let names = cv.0.data().room.names;
    let key = names.key(&table, key);
    bome(Ok(Val::utf8_str(aggregate_id(&names.source, &table, &key).to_string())))
}
