//! Request bodies: validated JSON of a type that rejects unknown fields, or none.

use std::ops::Deref;

use actix_web::dev::Payload as Stream;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use validator::Validate;

use crate::body;
use crate::problem::Problem;
use crate::validation::from_json;

/// The unchanged bytes of a body, which identify a repetition of the request.
#[derive(Debug, Clone)]
pub struct Payload(pub(crate) Bytes);

/// A JSON body that was parsed and is valid.
///
/// The type must carry `#[serde(deny_unknown_fields)]`. Errors: 413 and 415 if the body was not
/// read, 400 if it is not JSON, 422 with the invalid fields.
#[derive(Debug)]
pub struct ValidJson<T> {
    value: T,
    bytes: Bytes,
}

/// Deserializes an optional field that is absent or has a value, for `deserialize_with` beside
/// `default`: `null` is rejected where an absent field means "everything".
pub fn not_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl<T> ValidJson<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the bytes that it was parsed from.
    pub fn payload(&self) -> Payload {
        Payload(self.bytes.clone())
    }
}

impl<T> Deref for ValidJson<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: DeserializeOwned + Validate + 'static> FromRequest for ValidJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, stream: &mut Stream) -> Self::Future {
        let (request, stream) = (request.clone(), stream.take());
        Box::pin(async move {
            let bytes = body::read(&request, stream).await?;
            body::check_media_type(&request)?;
            let value = from_json(&bytes)?;
            Ok(Self { value, bytes })
        })
    }
}

/// The body of an action without parameters: empty, or an empty JSON object.
#[derive(Debug)]
pub struct NoBody(());

/// The parsed form of an empty JSON object.
#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl NoBody {
    /// Returns no bytes: an absent body and an empty object are the same request.
    pub fn payload(&self) -> Payload {
        Payload(Bytes::new())
    }
}

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, stream: &mut Stream) -> Self::Future {
        let (request, stream) = (request.clone(), stream.take());
        Box::pin(async move {
            let bytes = body::read(&request, stream).await?;
            if !bytes.is_empty() {
                let Nothing {} = from_json(&bytes)?;
            }
            Ok(Self(()))
        })
    }
}
