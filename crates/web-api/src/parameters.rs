//! Parameters of the path and of the query. An invalid parameter is a 400 error that names it.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload as Stream;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use validator::Validate;

use crate::field::reading;
use crate::problem::{FieldError, Problem};
use crate::validation::{field_error, valid};

/// The path parameters: one value, a tuple, or a struct.
#[derive(Debug, Clone, Copy)]
pub struct ValidPath<T>(T);

impl<T> ValidPath<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for ValidPath<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for ValidPath<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, stream: &mut Stream) -> Self::Future {
        let parsed = web::Path::<T>::from_request(request, stream).into_inner();
        ready(match parsed {
            Ok(value) => Ok(Self(value.into_inner())),
            Err(error) => {
                // The error does not name the parameter; nearly every path has only one.
                let names: Vec<&str> = request.match_info().iter().map(|(name, _)| name).collect();
                Err(Problem::invalid_parameter(FieldError::new(
                    names.join(", "),
                    "value",
                    error.to_string(),
                )))
            }
        })
    }
}

/// The query parameters. The type must carry `#[serde(deny_unknown_fields)]`; a repeated parameter
/// is rejected.
#[derive(Debug, Clone, Copy)]
pub struct ValidQuery<T>(T);

impl<T> ValidQuery<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for ValidQuery<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + Validate + 'static> FromRequest for ValidQuery<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Stream) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self))
    }
}

fn parse_query<T: DeserializeOwned + Validate>(query: &str) -> Result<T, Problem> {
    let (read, entries) = reading::read(|| {
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs)
    });
    let value: Result<T, _> =
        read.map_err(|error| field_error(&error.path().to_string(), &error.inner().to_string()));
    valid(value, entries).map_err(|mut errors| match errors.len() {
        1 => Problem::invalid_parameter(errors.remove(0)),
        number => Problem::new(
            crate::ProblemKind::InvalidParameter,
            format!("{number} parameters are invalid."),
        )
        .with_errors(errors),
    })
}

/// Returns the only value of a header as text; `Err` if it is repeated or not visible ASCII.
pub(crate) fn single_header<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid_header(name, "duplicate", "this header is given twice"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(invalid_header(name, "value", "expected visible ASCII characters")),
    }
}

/// Creates the problem of an invalid header.
pub(crate) fn invalid_header(name: &'static str, code: &str, message: &str) -> Problem {
    Problem::invalid_parameter(FieldError::new(name, code, message))
}
