//! Access to `/admin/…`: from the same machine, or with the token. `web_api::hosts` protects the whole
//! listener against requests from pages of other sites.

use std::net::SocketAddr;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use kernel::credentials::Secret;
use subtle::ConstantTimeEq as _;
use web_api::{Problem, ProblemKind};

/// The access policy of a listener.
pub enum Access {
    /// Every request is allowed: only this machine can connect.
    Local,
    /// Requests with the token are allowed.
    Token(Secret),
    /// No request is allowed: other machines can connect and no token is configured.
    Closed,
}

impl Access {
    /// Returns the policy of a listener. A configured token is required on every address.
    pub fn at(listener: SocketAddr, token: Option<Secret>) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if listener.ip().is_loopback() => Self::Local,
            None => Self::Closed,
        }
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Self::Local => Ok(()),
            Self::Token(token) => {
                let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
                if given.and_then(bearer).is_some_and(|given| is(token, given)) {
                    return Ok(());
                }
                let problem = Problem::new(
                    ProblemKind::Unauthorized,
                    "Send the admin token: `Authorization: Bearer <token>`.",
                );
                Err(problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::Closed => Err(Problem::new(
                ProblemKind::Forbidden,
                "Other machines can reach this listener: set admin_token in the configuration \
                 or BASCULE_ADMIN_TOKEN, or let it listen on a loopback address.",
            )),
        }
    }
}

/// Compares in constant time, so that the duration reveals nothing about the token.
fn is(token: &Secret, given: &[u8]) -> bool {
    token.reveal().as_bytes().ct_eq(given).into()
}

/// Returns the token of an `Authorization` header (RFC 6750 §2.1; the scheme in any case, RFC 9110 §11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn with(name: &str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name.parse().unwrap(), value.parse().unwrap());
        headers
    }

    fn status(access: &Access, headers: &HeaderMap) -> u16 {
        access.check(headers).map_or_else(|problem| problem.document().status, |()| 200)
    }

    #[test]
    fn off_loopback_only_the_token_opens() {
        let token = || Some(Secret::new("swordfish"));
        let (here, outside) = ("127.0.0.1:9090".parse().unwrap(), "0.0.0.0:9090".parse().unwrap());
        let none = HeaderMap::new();
        assert_eq!(status(&Access::at(here, None), &none), 200);
        assert_eq!(status(&Access::at("[::1]:1".parse().unwrap(), None), &none), 200);
        assert_eq!(status(&Access::at(outside, None), &none), 403);
        for listener in [here, outside] {
            let access = Access::at(listener, token());
            assert_eq!(status(&access, &none), 401);
            for wrong in ["Bearer sword", "Bearer swordfish2", "Basic swordfish", "swordfish"] {
                assert_eq!(status(&access, &with("authorization", wrong)), 401, "{wrong}");
            }
            for right in ["Bearer swordfish", "bearer swordfish"] {
                assert_eq!(status(&access, &with("authorization", right)), 200, "{right}");
            }
        }
    }
}
