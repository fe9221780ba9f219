//! The paths that Rust source names, read without a compiler.

/// A path as the source names it.
#[derive(Debug, PartialEq)]
pub struct Mention {
    pub line: usize,
    pub segments: Vec<String>,
    pub imported: bool,
    /// What an import is called where it is imported, if not by its last segment.
    pub alias: Option<String>,
}

impl Mention {
    /// Whether this is `banned` or something below it; an import also when it brings a parent of
    /// it into scope, through which it could be named unseen.
    pub fn touches(&self, banned: &str) -> bool {
        let banned: Vec<&str> = banned.split("::").collect();
        let named: Vec<&str> =
            self.segments.iter().map(String::as_str).filter(|segment| *segment != "*").collect();
        let is_below = named.len() >= banned.len()
            && same_crate(named[0], banned[0])
            && named[1..banned.len()] == banned[1..];
        let is_parent = self.imported && named.len() < banned.len() && banned.starts_with(&named);
        is_below || is_parent
    }
}

/// `actix` stands for `actix_web` and its other crates too.
fn same_crate(named: &str, banned: &str) -> bool {
    named.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[derive(Debug, PartialEq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

/// Every path of two segments or more, and every import, groups and renamings resolved.
pub fn mentioned_paths(tokens: &[Token]) -> Vec<Mention> {
    let mut mentions = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        if text == "use" {
            at = imports(tokens, at + 1, &[], &mut mentions);
        } else if text == "extern" && is(tokens, at + 1, "crate") {
            at = imports(tokens, at + 2, &[], &mut mentions);
        } else if is_name(text) {
            let line = tokens[at].line;
            let mut segments = vec![text.to_owned()];
            while is(tokens, at + 1, "::") && tokens.get(at + 2).is_some_and(|t| is_name(&t.text)) {
                segments.push(tokens[at + 2].text.clone());
                at += 2;
            }
            if segments.len() > 1 {
                mentions.push(Mention { line, segments, imported: false, alias: None });
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    mentions
}

/// Reads one tree of a `use` from `at`; returns where it ends.
fn imports(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    mentions: &mut Vec<Mention>,
) -> usize {
    let mut segments = prefix.to_vec();
    let mut alias = None;
    let mut line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while at < tokens.len() && !is(tokens, at, "}") {
                    let start = at;
                    at = imports(tokens, at, &segments, mentions);
                    if is(tokens, at, ",") || at == start {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => {
                alias = tokens.get(at + 1).map(|token| token.text.clone());
                at += 2;
            }
            "self" if !segments.is_empty() => at += 1,
            name if is_name(name) || name == "*" => {
                line = token.line;
                segments.push(name.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    if !segments.is_empty() {
        mentions.push(Mention { line, segments, imported: true, alias });
    }
    at
}

/// Whether a token is a text.
pub fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

/// Whether a token is a name.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// The names and signs of Rust source; comments and the contents of literals are left out. Of a string its
/// first word stays, behind a quote.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let text = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => {
                at = end_of_line(&chars, at);
                None
            }
            '/' if chars.get(at + 1) == Some(&'*') => {
                at = end_of_block_comment(&chars, at);
                None
            }
            '"' => {
                at = end_of_string(&chars, at);
                let content = chars[start + 1..at].iter();
                let word = content
                    .skip_while(|c| !c.is_alphanumeric())
                    .take_while(|c| c.is_alphanumeric());
                Some(format!("\"{}", word.collect::<String>()))
            }
            '\'' => {
                at = end_of_character(&chars, at);
                None
            }
            c if c == '_' || c.is_alphanumeric() => {
                while at < chars.len() && (chars[at] == '_' || chars[at].is_alphanumeric()) {
                    at += 1;
                }
                let name: String = chars[start..at].iter().collect();
                match end_of_raw_string(&chars, at, &name) {
                    Some(end) => {
                        at = end;
                        None
                    }
                    None => Some(name),
                }
            }
            ':' if chars.get(at + 1) == Some(&':') => {
                at += 2;
                Some("::".to_owned())
            }
            c => {
                at += 1;
                (!c.is_whitespace()).then(|| c.to_string())
            }
        };
        if let Some(text) = text {
            found.push(Token { line, text });
        }
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

/// Block comments nest.
fn end_of_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A quote begins a character or a lifetime; of a lifetime only the quote is passed over.
fn end_of_character(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let closing = chars.iter().skip(at + 3).position(|c| *c == '\'');
        return closing.map_or(chars.len(), |length| at + 3 + length + 1);
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

/// Where the raw string ends that `prefix`, just read, begins; none if it begins none.
fn end_of_raw_string(chars: &[char], at: usize, prefix: &str) -> Option<usize> {
    if !matches!(prefix, "r" | "br" | "cr") {
        return None;
    }
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + hashes) != Some(&'"') {
        return None;
    }
    let mut end = at + hashes + 1;
    while end < chars.len() {
        let closes = chars[end] == '"'
            && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        end += 1;
        if closes {
            return Some(end + hashes);
        }
    }
    Some(end)
}
