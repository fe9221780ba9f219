//! Entity tags and the conditional headers that use them: `If-Match` and `If-None-Match` (RFC 9110
//! §8.8.3, §13.1).
//!
//! The tag of a representation is `"<revision>-<digest>"`: the revision that a command may expect,
//! and a digest of the body. The response to a command has the tag `"<revision>"`, because it does
//! not contain the resource; such a tag is valid in `If-Match` and never leads to 304.

use std::fmt;

use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::event::Revision;
use kernel::execution::ExpectedAt;
use kernel::keys::SecretKey;

use crate::parameters::invalid_header;
use crate::problem::Problem;

/// Number of digest bytes in a tag: enough that two bodies of one revision do not collide by chance.
const DIGEST: usize = 12;

/// An entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag {
    is_weak: bool,
    /// The text between the quotes.
    opaque: String,
}

impl EntityTag {
    /// Creates the tag of a response that does not contain the resource.
    pub(crate) fn of_revision(revision: Revision) -> Self {
        Self { is_weak: false, opaque: revision.to_string() }
    }

    /// Creates the tag of a body. The digest is keyed because caches and logs store tags, and a body
    /// may contain personal data.
    pub(crate) fn of_representation(key: &SecretKey, revision: Revision, body: &str) -> Self {
        let digest = key.digest("entity tag", body);
        let digest = URL_SAFE_NO_PAD.encode(&digest[..DIGEST]);
        Self { is_weak: false, opaque: format!("{revision}-{digest}") }
    }

    /// Returns the revision in the tag; `None` if the server issues no such tag, or if it is weak:
    /// weak tags never match strongly (RFC 9110 §8.8.3.2).
    fn revision(&self) -> Option<Revision> {
        let (revision, _) = self.opaque.split_once('-').unwrap_or((&self.opaque, ""));
        let is_number = !self.is_weak
            && (1..=18).contains(&revision.len())
            && revision.bytes().all(|byte| byte.is_ascii_digit());
        revision.parse().ok().filter(|_| is_number)
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.is_weak { "W/" } else { "" };
        write!(formatter, "{weak}\"{}\"", self.opaque)
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `*`: any existing representation.
    Any,
    /// One of these tags.
    OneOf(Vec<EntityTag>),
}

/// The pattern of a list of entity tags, as accepted here.
pub(crate) const PATTERN: &str = concat!(
    r#"^(\*|[ \t,]*((W/)?"[!#-~]*"|[0-9]{1,18})"#,
    r#"([ \t]*,[ \t,]*((W/)?"[!#-~]*"|[0-9]{1,18}))*[ \t,]*)$"#
);

/// The header is not a list of entity tags.
#[derive(Debug)]
pub(crate) struct Malformed;

impl Condition {
    /// Parses a header that may be sent in several lines; `None` if it is absent.
    pub(crate) fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Malformed> {
        let mut lines = Vec::new();
        for line in headers.get_all(name) {
            lines.push(line.to_str().map_err(|_| Malformed)?.trim());
        }
        match lines.as_slice() {
            [] => Ok(None),
            ["*"] => Ok(Some(Self::Any)),
            lines => tags(&lines.join(",")).map(|tags| Some(Self::OneOf(tags))),
        }
    }

    /// Compares weakly (RFC 9110 §8.8.3.2), as `If-None-Match` requires.
    pub(crate) fn is_met_weakly_by(&self, tag: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|one| one.opaque == tag.opaque),
        }
    }
}

/// Returns the revisions in `If-Match`; `None` if it is absent or `*`: any revision is accepted.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<ExpectedAt>, Problem> {
    match Condition::of(headers, &IF_MATCH) {
        Ok(None | Some(Condition::Any)) => Ok(None),
        Ok(Some(Condition::OneOf(tags))) => {
            Ok(Some(ExpectedAt::one_of(tags.iter().filter_map(EntityTag::revision))))
        }
        Err(Malformed) => {
            let message =
                "expected `*`, or entity tags of responses such as \"3\", separated by commas";
            Err(invalid_header("If-Match", "value", message))
        }
    }
}

/// Parses a list of entity tags; empty elements are ignored (RFC 9110 §5.6.1.2).
fn tags(text: &str) -> Result<Vec<EntityTag>, Malformed> {
    let mut tags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (tag, after) = tag(rest)?;
        tags.push(tag);
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(Malformed);
        }
    }
    if tags.is_empty() { Err(Malformed) } else { Ok(tags) }
}

/// Returns the first tag of a text, and the rest.
fn tag(text: &str) -> Result<(EntityTag, &str), Malformed> {
    let unprefixed = text.strip_prefix("W/");
    let (is_weak, rest) = (unprefixed.is_some(), unprefixed.unwrap_or(text));
    if let Some(quoted) = rest.strip_prefix('"') {
        let (opaque, after) = quoted.split_once('"').ok_or(Malformed)?;
        let is_opaque = opaque.bytes().all(|byte| byte == 0x21 || (0x23..=0x7E).contains(&byte));
        let tag = EntityTag { is_weak, opaque: opaque.to_owned() };
        return if is_opaque { Ok((tag, after)) } else { Err(Malformed) };
    }
    // Many clients omit the quotes around a revision; it has no other meaning.
    let (bare, after) = rest.split_at(rest.find([',', ' ', '\t']).unwrap_or(rest.len()));
    let tag = EntityTag { is_weak, opaque: bare.to_owned() };
    let is_revision = bare.bytes().all(|byte| byte.is_ascii_digit()) && tag.revision().is_some();
    if is_revision { Ok((tag, after)) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn expected(lines: &[&'static str]) -> Option<Option<Vec<Revision>>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_static(line));
        }
        let expected = if_match(&headers).ok()?;
        Some(expected.map(|expected| expected.revisions().to_vec()))
    }

    #[test]
    fn if_match_is_a_list_of_which_one_strong_tag_suffices() {
        for (lines, revisions) in [
            (&["\"3\""][..], &[3][..]),
            (&["3"], &[3]),
            (&["\"3-AbCd_-09\""], &[3]),
            (&["\"3\", \"7-x\""], &[3, 7]),
            (&["\"3\",\"7\" ,, 9"], &[3, 7, 9]),
            (&["\"3\"", "\"7\""], &[3, 7]),
            (&["W/\"3\""], &[]),
            (&["W/\"3\", \"7\""], &[7]),
            (&["\"of,another,server\""], &[]),
            (&["\"\""], &[]),
            (&["\"9999999999999999999\""], &[]),
        ] {
            assert_eq!(expected(lines), Some(Some(revisions.to_vec())), "{lines:?}");
        }
        assert_eq!(expected(&["*"]), Some(None));
        assert_eq!(expected(&[]), Some(None));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for line in
            ["", ",", "\"3", "three", "W/3", "\"3\" \"4\"", "*, \"3\"", "\"a b\"", "-1", "3-x"]
        {
            assert_eq!(expected(&[line]), None, "{line}");
        }
    }

    #[test]
    fn a_tag_covers_the_body_and_names_the_revision() {
        let key = SecretKey::generate().unwrap();
        let tag = |body| EntityTag::of_representation(&key, 3, body);
        assert_eq!(tag("Ada"), tag("Ada"));
        assert_ne!(tag("Ada"), tag("null"));
        assert_eq!(tag("Ada").revision(), Some(3));
        let written = tag("Ada").to_string();
        assert_eq!(tags(&written).unwrap(), [tag("Ada")]);
        assert!(
            Condition::OneOf(tags(&format!("W/{written}")).unwrap()).is_met_weakly_by(&tag("Ada"))
        );
    }
}
