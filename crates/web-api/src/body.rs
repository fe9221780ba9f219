//! Reads a JSON body with limits on size, time and media type.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload as Stream;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use futures::StreamExt as _;

use crate::problem::{Problem, ProblemKind};

/// Maximum number of bytes of a body. Set another limit with `App::app_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(256 * 1024)
    }
}

/// Time limit for receiving a body.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reads a body. An empty body may have any media type; any other must be JSON.
pub(crate) async fn read(request: &HttpRequest, stream: Stream) -> Result<Bytes, Problem> {
    let body = collect(request, stream).await?;
    if !body.is_empty() {
        check_media_type(request)?;
    }
    Ok(body)
}

/// Reads a body of any type.
pub(crate) async fn collect(request: &HttpRequest, mut stream: Stream) -> Result<Bytes, Problem> {
    let BodyLimit(limit) = request.app_data().copied().unwrap_or_default();
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Problem::payload_too_large(limit));
    }
    let collected = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| {
                Problem::malformed_json("The body is incomplete or incorrectly framed.")
            })?;
            if body.len() + chunk.len() > limit {
                return Err(Problem::payload_too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(DEADLINE, collected).await.map_err(|_| {
        Problem::new(
            ProblemKind::RequestTimeout,
            format!("The body must arrive within {} s.", DEADLINE.as_secs()),
        )
    })?
}

/// Checks that the body is declared as JSON in UTF-8 and uncompressed.
pub(crate) fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    let is_plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_plain {
        return Err(Problem::unsupported_media_type("Send the body without Content-Encoding."));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(is_json) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type("Send the body as application/json."))
}

/// `application/json` or `…+json` (RFC 6839), in UTF-8 (RFC 8259 §8.1).
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let Some(("application", subtype)) = essence.split_once('/') else {
        return false;
    };
    let is_token =
        subtype.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte));
    (subtype == "json" || (subtype.ends_with("+json") && is_token))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some(("charset", charset)) => charset.trim_matches('"') == "utf-8",
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for accepted in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
        ] {
            assert!(is_json(accepted), "{accepted}");
        }
        for refused in [
            "",
            "json",
            "text/json",
            "application/jsonx",
            "application/xml",
            "application/json; charset=latin1",
        ] {
            assert!(!is_json(refused), "{refused}");
        }
    }
}
