//! Configuration values that hold credentials. [`fmt::Debug`], [`fmt::Display`] and [`Serialize`]
//! hide the secret part, so that it never appears in logs, errors or `--dump-config`; only `reveal`
//! returns it.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Replaces a secret in output.
const HIDDEN: &str = "(hidden)";

/// A secret text: a password, a token or a key. Its output is always hidden.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// The URL of a database, a store or a service, which may hold a password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ConnectionUrl(String);

impl ConnectionUrl {
    /// Wraps a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Returns the whole URL, for connecting.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for ConnectionUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns a URL that is safe to show and log: without the password, and without the parameters,
/// which may hold another password.
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // Split at the last @: an unescaped password may itself contain a slash or an @.
    let Some((user_info, place)) = rest.rsplit_once('@') else {
        return match rest.split_once('?') {
            Some((place, _)) => format!("{scheme}{place}"),
            None => url.to_owned(),
        };
    };
    let place = place.split_once('?').map_or(place, |(place, _)| place);
    let (user, hidden) = match user_info.split_once(':') {
        Some((user, _)) => (user, ":***"),
        None => (user_info, ""),
    };
    if user.contains(['/', '?']) {
        // Not user info: the @ is part of a parameter.
        return format!("{scheme}***@{place}");
    }
    format!("{scheme}{user}{hidden}@{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            (
                "postgres://ada:swordfish@host:5432/b?sslmode=require",
                "postgres://ada:***@host:5432/b",
            ),
            ("postgres://ada:sword/fi@sh@host/b", "postgres://ada:***@host/b"),
            ("postgres://host/b?user=ada&password=swordfish", "postgres://host/b"),
            ("postgres://host/b?password=sword@fish", "postgres://***@fish"),
            ("mysql://ada:swordfish@host/b", "mysql://ada:***@host/b"),
            ("ada:swordfish@host", "ada:***@host"),
            ("postgres://ada@host/b", "postgres://ada@host/b"),
            ("sqlite:./data/bascule.db", "sqlite:./data/bascule.db"),
        ] {
            let text = redacted(url);
            assert!(!text.contains("sword"), "{text}");
            assert_eq!(text, shown);
        }
    }

    #[test]
    fn what_is_secret_is_shown_in_no_way() {
        let secret = Secret::new("swordfish");
        let url = ConnectionUrl::new("postgres://ada:swordfish@host/b");
        let shown = format!("{secret:?} {url} {url:?}");
        let written = serde_json::to_string(&(&secret, &url)).unwrap();
        assert!(!shown.contains("swordfish"), "{shown}");
        assert_eq!(written, r#"["(hidden)","postgres://ada:***@host/b"]"#);
        assert_eq!((secret.reveal(), url.reveal().contains("swordfish")), ("swordfish", true));
    }
}
