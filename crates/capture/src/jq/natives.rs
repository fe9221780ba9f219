//! The filters for programs that are not written in jq.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Bind, Cv, DataT, Exn, Lut, Native, RunPtr, ValXs};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::guard::{COLLECT, MULTIPLY, TICK, WEIGH};
use super::pattern::{self, Given};
use super::{Error, Limits};
use super::{decimal, text, time};
use crate::ids::aggregate_id;
use crate::mapping::Names;
use crate::numbers::plain;

const NO_KEY: &str = "the key of uid must be a number, a text or a boolean, or an array of them";
const OTHER_KEY: &str = "uid takes as many values as the table's key has columns, in an array in the \
                         order of `key`";
const NO_TABLE: &str = "the first argument of uid must be the name of a table";
const REPEATED: &str = "the repeated text would be too long";

/// Returns whether an error is one of our own filters: these are constants and may be shown.
pub(super) fn is_ours(message: &str) -> bool {
    let here: &[&str] = &[NO_KEY, OTHER_KEY, NO_TABLE, REPEATED];
    let all = [here, decimal::MESSAGES, pattern::MESSAGES, text::MESSAGES, time::MESSAGES];
    all.into_iter().flatten().any(|known| *known == message)
}

/// Returns an error of our own filters. Its text must be one that [`is_ours`] knows.
pub(super) fn complaint(message: &'static str) -> Error {
    debug_assert!(is_ours(message), "not among the messages: {message}");
    Error::new(Val::utf8_str(message.to_owned()))
}

/// Returns a text; bytes that are not UTF-8 become U+FFFD.
pub(super) fn text_of(value: &Val) -> Option<String> {
    let bytes = matches!(value, Val::TStr(_)).then(|| value.as_bytes()).flatten()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// Returns a whole number, also if written as `7.0`.
pub(super) fn whole_of(value: &Val) -> Option<i64> {
    let Val::Num(number) = value else { return None };
    plain(&number.to_string())?.parse().ok()
}

/// A row whose id was derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedRow {
    /// The id.
    pub(crate) id: String,
    /// The first argument of `uid`: the table, or the `ids` of an aggregate.
    pub(crate) name: String,
    /// The row's key.
    pub(crate) key: String,
}

const TOO_DEEP: &str = "the recursion is too deep";
const TOO_LARGE: &str = "a value is too large";
/// All arrays of a run together may be this many times as large as one value.
const COLLECTED: usize = 16;

/// The resources and state of one run.
pub(super) struct Room<'r> {
    limits: Limits,
    names: &'r Names,
    /// The derived ids, if the caller wants them.
    named: Option<RefCell<Vec<NamedRow>>>,
    steps: Cell<u64>,
    /// Bytes of new values that were collected into arrays.
    collected: Cell<usize>,
    stopped: Cell<Option<&'static str>>,
    deadline: Instant,
    /// An address near the bottom of the stack, and the distance from it that a run may use.
    base: usize,
    stack: usize,
}

impl<'r> Room<'r> {
    pub(super) fn new(limits: Limits, names: &'r Names, stack: usize, deadline: Instant) -> Self {
        Self {
            limits,
            names,
            named: None,
            steps: Cell::new(0),
            collected: Cell::new(0),
            stopped: Cell::new(None),
            deadline,
            base: here(),
            // The other half is for code that runs between two checks, such as dropping a deep value.
            stack: stack / 2,
        }
    }

    /// The same, collecting the derived ids.
    pub(super) fn noting(self) -> Self {
        Self { named: Some(RefCell::default()), ..self }
    }

    fn note(&self, id: &str, name: String, key: String) {
        if let Some(named) = &self.named {
            named.borrow_mut().push(NamedRow { id: id.to_owned(), name, key });
        }
    }

    /// Returns the derived ids.
    pub(super) fn named(self) -> Vec<NamedRow> {
        self.named.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Returns why the run was stopped, if it was.
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
                Some(TOO_DEEP)
            } else if size(value) > self.limits.size {
                Some(TOO_LARGE)
            } else {
                None
            };
            self.stopped.set(why);
        }
        self.go_on()
    }

    fn go_on(&self) -> Result<(), Error> {
        match self.stopped.get() {
            None => Ok(()),
            Some(why) => Err(Error::new(Val::utf8_str(why.to_owned()))),
        }
    }

    fn stop(&self, why: &'static str) -> Result<(), Error> {
        if self.stopped.get().is_none() {
            self.stopped.set(Some(why));
        }
        self.go_on()
    }

    /// Returns an error if a value's text would be larger than the limit, or is nested too deeply to be
    /// written.
    fn weigh(&self, value: &Val) -> Result<(), Error> {
        match self.weight(value, &mut { self.limits.size }) {
            Ok(()) => self.go_on(),
            Err(why) => self.stop(why),
        }
    }

    fn weight(&self, value: &Val, left: &mut usize) -> Result<(), &'static str> {
        if self.base.abs_diff(here()) > self.stack {
            return Err(TOO_DEEP);
        }
        // Each value takes at least a digit and a separator.
        let own = 2 + if matches!(value, Val::Arr(_) | Val::Obj(_)) { 0 } else { size(value) };
        *left = left.checked_sub(own).ok_or(TOO_LARGE)?;
        match value {
            Val::Arr(values) => values.iter().try_for_each(|value| self.weight(value, left)),
            Val::Obj(members) => members.iter().try_for_each(|(name, value)| {
                self.weight(name, left)?;
                self.weight(value, left)
            }),
            _ => Ok(()),
        }
    }

    /// Counts a value that is collected into an array, unless it is shared: values of the document take
    /// no additional memory.
    fn collect(&self, value: &Val) -> Result<(), Error> {
        let is_new = match value {
            Val::Arr(values) => Arc::strong_count(values) == 1,
            Val::Obj(members) => Arc::strong_count(members) == 1,
            _ => true,
        };
        let own = std::mem::size_of::<Val>() + if is_new { size(value) } else { 0 };
        let collected = self.collected.get().saturating_add(own);
        self.collected.set(collected);
        if collected > self.limits.size.saturating_mul(COLLECTED) {
            return self.stop(TOO_LARGE);
        }
        self.go_on()
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

/// The data of a run that native filters can access.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) lut: &'a Lut<Kind>,
    pub(super) room: &'a Room<'a>,
}

/// The data types of our programs.
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

/// Returns all native filters: the harmless ones of jaq, and ours.
pub(super) fn all() -> impl Iterator<Item = Fun<Kind>> {
    let replaced = ["halt", "range"];
    jaq_core::funs::<Kind>()
        .chain(jaq_std::base_funs())
        .chain(jaq_json::funs())
        .filter(move |(name, _, _)| !replaced.contains(name))
        .chain(ours())
}

fn ours() -> impl Iterator<Item = Fun<Kind>> {
    let weigh = Native::new(|cv: Cv<'_, Kind>| bome(cv.0.data().room.weigh(&cv.1).map(|()| cv.1)))
        .with_paths(|cv| {
            let weighed = cv.0.data().room.weigh(&cv.1.0).map_err(Exn::from);
            box_once(weighed.map(|()| cv.1))
        });
    let collect =
        Native::new(|cv: Cv<'_, Kind>| bome(cv.0.data().room.collect(&cv.1).map(|()| cv.1)));
    let tick = Native::new(|cv: Cv<'_, Kind>| bome(check(&cv.0, &cv.1).map(|()| cv.1)))
        .with_paths(|cv| {
            let checked = check(&cv.0, &cv.1.0).map_err(Exn::from);
            box_once(checked.map(|()| cv.1))
        })
        .with_update(|cv, update| match check(&cv.0, &cv.1) {
            Ok(()) => update(cv.1),
            Err(error) => box_once(Err(Exn::from(error))),
        });
    let filters: [jaq_core::native::Filter<RunPtr<Kind>>; 33] = [
        (MULTIPLY, v(2), multiply),
        ("range", v(3), range),
        ("uid", v(1), |mut cv| {
            let table = cv.0.pop_var();
            bome(uid(&cv.0, &table, &cv.1))
        }),
        ("uid", v(2), |mut cv| {
            let key = cv.0.pop_var();
            let table = cv.0.pop_var();
            bome(uid(&cv.0, &table, &key))
        }),
        ("matches", v(2), |cv| pattern::search(cv, Given::Matches)),
        ("split_", v(2), |cv| pattern::search(cv, Given::Between)),
        ("split_matches", v(2), |cv| pattern::search(cv, Given::Both)),
        ("date", v(1), |cv| unary(cv, |value, form| time::date(&value, &form))),
        ("date_time", v(1), |cv| unary(cv, |value, form| time::date_time(&value, &form))),
        ("days_since", v(1), |cv| unary(cv, |value, day| time::days_since(&value, &day))),
        ("unix_time", v(1), |cv| unary(cv, |value, unit| time::unix_time(&value, &unit))),
        ("julian_day", v(0), |cv| bome(time::julian_day(&cv.1))),
        ("local_time", v(1), |cv| unary(cv, |value, zone| time::local_time(&value, &zone))),
        ("local_date", v(1), |cv| unary(cv, |value, zone| time::local_date(&value, &zone))),
        ("without_zone", v(0), |cv| bome(time::without_zone(&cv.1))),
        ("utc", v(2), |mut cv| {
            let choice = cv.0.pop_var();
            let zone = cv.0.pop_var();
            bome(time::utc(&cv.1, &zone, &choice))
        }),
        ("base64_decode", v(1), |cv| unary(cv, |value, set| text::base64_decode(&value, &set))),
        ("base64_encode", v(0), |cv| bome(text::base64_encode(&cv.1))),
        ("hex_decode", v(1), |cv| unary(cv, |value, set| text::hex_decode(&value, &set))),
        ("hex_encode", v(0), |cv| bome(text::hex_encode(&cv.1))),
        ("repair_utf8", v(0), |cv| bome(text::repair_utf8(&cv.1))),
        ("repair_cp1252", v(0), |cv| bome(text::repair_cp1252(&cv.1))),
        ("dec_div", v(3), |mut cv| {
            let mode = cv.0.pop_var();
            let scale = cv.0.pop_var();
            let divisor = cv.0.pop_var();
            bome(decimal::divide(&cv.1, &divisor, &scale, &mode))
        }),
        ("dec_round", v(2), |mut cv| {
            let mode = cv.0.pop_var();
            let scale = cv.0.pop_var();
            bome(decimal::round(&cv.1, &scale, &mode))
        }),
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
    let own = [(TICK, v(0), tick), (WEIGH, v(0), weigh), (COLLECT, v(0), collect)];
    filters.into_iter().map(|filter| run::<Kind>(filter)).chain(own)
}

/// The names of our filters, except those that only jq's own definitions call.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let inner = [MULTIPLY, TICK, WEIGH, COLLECT, "range", "matches", "split_", "split_matches"];
    ours().map(|(name, ..)| name).filter(move |name| !inner.contains(name))
}

/// Counts a step, and returns an error if none are left.
pub(super) fn check(context: &jaq_core::Ctx<'_, Kind>, value: &Val) -> Result<(), Error> {
    context.data().room.check(value)
}

/// `l * r`, except for a text that would become too long.
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
        return bome(Err(complaint(REPEATED)));
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

/// `uid("table")`, `uid("table"; $key)`: the id of the aggregate whose root row has this key. A key of
/// several columns is an array of their values.
fn uid(context: &jaq_core::Ctx<'_, Kind>, table: &Val, key: &Val) -> Result<Val, Error> {
    let part = |value: &Val| match value {
        Val::Num(number) => {
            let text = number.to_string();
            Some(plain(&text).unwrap_or(text))
        }
        Val::Bool(flag) => Some(flag.to_string()),
        value => text_of(value),
    };
    let table = text_of(table).ok_or_else(|| complaint(NO_TABLE))?;
    let names = context.data().room.names;
    let given = match key {
        Val::Null => return Ok(Val::Null),
        Val::Arr(values) => values.len(),
        // The key may be encoded already, as in `legacy.id`.
        key => text_of(key)
            .and_then(|text| serde_json::from_str::<Vec<String>>(&text).ok())
            .map_or(1, |parts| parts.len()),
    };
    let columns = names.key_columns.get(&table).copied();
    if columns.is_some_and(|columns| columns != given && (columns > 1 || is_array(key))) {
        return Err(complaint(OTHER_KEY));
    }
    let parts = match key {
        // A key with a null refers to no row.
        Val::Arr(values) if values.contains(&Val::Null) => return Ok(Val::Null),
        Val::Arr(values) if !values.is_empty() => values.iter().map(part).collect(),
        value => part(value).map(|part| vec![part]),
    };
    let parts: Vec<String> = parts.ok_or_else(|| complaint(NO_KEY))?;
    let key = names.key(&table, parts);
    let id = aggregate_id(&names.source, &table, &key).to_string();
    context.data().room.note(&id, table, key);
    Ok(Val::utf8_str(id))
}

fn is_array(value: &Val) -> bool {
    matches!(value, Val::Arr(_))
}

/// Returns whether all arguments of a filter are values, computed from its input.
pub(super) fn takes_values(filter: &str, arguments: usize) -> bool {
    all().any(|(name, binds, _)| {
        name == filter
            && binds.len() == arguments
            && binds.iter().all(|bind| matches!(bind, Bind::Var(())))
    })
}

/// Returns the error in the constant arguments of a call, if it can be found before the run.
pub(super) fn mistake(filter: &str, arguments: &[Option<&str>]) -> Option<String> {
    let at = |index: usize| arguments.get(index).copied().flatten();
    let unless = |argument: Option<&str>, is: fn(&str) -> bool, what: &str| {
        let wrong = argument.filter(|argument| !is(argument))?;
        Some(format!("{what} `{wrong}`"))
    };
    match (filter, arguments.len()) {
        ("date" | "date_time", 1) => unless(at(0), time::is_form, "a date cannot have the form"),
        ("utc", 1 | 2) => unless(at(0), time::is_zone, "there is no time zone")
            .or_else(|| unless(at(1), time::is_choice, "for ambiguous times there is no choice")),
        ("unix_time", 1) => unless(at(0), time::is_unit, "there is no unit"),
        ("local_time" | "local_date", 1) => unless(at(0), time::is_zone, "there is no time zone"),
        ("base64_decode" | "hex_decode", 1) => {
            unless(at(0), text::is_charset, "there is no character set")
        }
        ("dec_div", 3) => unless(at(2), decimal::is_mode, "there is no mode of rounding"),
        ("dec_round", 2) => unless(at(1), decimal::is_mode, "there is no mode of rounding"),
        ("test" | "match" | "capture" | "scan" | "splits", 1 | 2) | ("split", 2) => {
            pattern::mistake(at(0)?, at(1).unwrap_or_default())
        }
        ("sub" | "gsub", 2 | 3) => pattern::mistake(at(0)?, at(2).unwrap_or_default()),
        _ => None,
    }
}
