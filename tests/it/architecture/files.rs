//! Which files of a crate use which: the paths that they name, followed through re-exports to the file
//! in which an item stands.
//!
//! A file that only declares and re-exports modules is not used itself: what it re-exports is. What a
//! method call leads to cannot be seen without a compiler.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::Result;
use super::paths::{Mention, Token, is, is_name, mentioned_paths, tokens};
use super::purity::collect_rust_files;

/// The path of a module within its crate.
type ModulePath = Vec<String>;

/// How many re-exports are followed, one after the other.
const MOST_REEXPORTS: usize = 16;

/// One use of a file by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub from: PathBuf,
    pub line: usize,
    pub to: PathBuf,
    /// Whether only a test does it.
    pub in_test: bool,
}

/// A module: a file, or a part of one.
struct Module {
    file: PathBuf,
    mentions: Vec<Mention>,
    /// Whether anything but declarations and re-exports of modules stands in it.
    has_items: bool,
    is_test: bool,
}

/// The modules of a crate.
#[derive(Default)]
pub struct Modules(BTreeMap<ModulePath, Module>);

impl Modules {
    /// Reads the files of a crate's `src/`.
    pub fn read(source: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        collect_rust_files(source, &mut paths)?;
        let mut modules = Self::default();
        for path in paths {
            let text = std::fs::read_to_string(&path)?;
            modules.add(path.strip_prefix(source)?, &text);
        }
        Ok(modules)
    }

    /// Adds a file, by its path within `src/`.
    pub fn add(&mut self, file: &Path, text: &str) {
        let mut path: ModulePath = file
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if path.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
            path.pop();
        }
        let is_test = path.iter().any(|part| part == "tests");
        self.add_module(file, path, tokens(text), is_test);
    }

    fn add_module(&mut self, file: &Path, path: ModulePath, tokens: Vec<Token>, is_test: bool) {
        let mut own = Vec::new();
        let mut rest = tokens.into_iter().peekable();
        while let Some(token) = rest.next() {
            if token.text == "mod" && rest.peek().is_some_and(|next| is_name(&next.text)) {
                let Some(name) = rest.next() else { break };
                if rest.peek().is_some_and(|next| next.text == "{") {
                    let mut within = path.clone();
                    let is_test = is_test || name.text == "tests";
                    within.push(name.text);
                    self.add_module(file, within, block(&mut rest), is_test);
                }
            } else {
                own.push(token);
            }
        }
        let module = Module {
            file: file.to_owned(),
            mentions: mentioned_paths(&own),
            has_items: has_items(&own),
            is_test,
        };
        self.0.insert(path, module);
    }

    /// Returns every use of a file by another, once per place.
    pub fn uses(&self) -> Vec<Use> {
        let mut uses = BTreeSet::new();
        for (path, module) in &self.0 {
            if !module.has_items {
                continue;
            }
            for mention in &module.mentions {
                for to in self.targets(path, &mention.segments, 0) {
                    let Module { file, is_test, .. } = module;
                    let (from, in_test) = (file.clone(), *is_test);
                    uses.insert(Use { from, line: mention.line, to, in_test });
                }
            }
        }
        uses.into_iter().filter(|one| one.from != one.to).collect()
    }

    /// Returns the files that a path leads to, named in a module: one, or several behind a `*`.
    fn targets(&self, within: &[String], segments: &[String], followed: usize) -> Vec<PathBuf> {
        if followed > MOST_REEXPORTS {
            return Vec::new();
        }
        let mut at = within.to_vec();
        for (index, segment) in segments.iter().enumerate() {
            let is_first = index == 0;
            match segment.as_str() {
                "crate" if is_first => at.clear(),
                "self" if is_first => {}
                "super" => drop(at.pop()),
                "*" => return self.all_in(&at, followed),
                name => {
                    let child = [at.clone(), vec![name.to_owned()]].concat();
                    if self.0.contains_key(&child) {
                        at = child;
                        continue;
                    }
                    let rest = &segments[index + 1..];
                    let found = self.through_imports(&at, name, rest, followed);
                    // A name of another crate, or of this very module.
                    return match (found, is_first) {
                        (Some(found), _) => found,
                        (None, true) => Vec::new(),
                        (None, false) => self.file(&at),
                    };
                }
            }
        }
        self.file(&at)
    }

    /// Returns where a name leads that a module imports or re-exports; `None` if it does neither.
    fn through_imports(
        &self,
        at: &[String],
        name: &str,
        rest: &[String],
        followed: usize,
    ) -> Option<Vec<PathBuf>> {
        let imports = self.0.get(at)?.mentions.iter().filter(|mention| mention.imported);
        let known_by = |import: &Mention| import.alias.clone().or(import.segments.last().cloned());
        // `use name;` of another crate leads nowhere here.
        let named = imports.clone().find(|import| {
            known_by(import).is_some_and(|known| known == name)
                && import.segments.first().is_some_and(|first| first != name)
        });
        if let Some(import) = named {
            let path = [&import.segments[..], rest].concat();
            return Some(self.targets(at, &path, followed + 1));
        }
        let behind_stars =
            imports.filter(|import| import.segments.last().is_some_and(|l| l == "*"));
        let found: Vec<_> = behind_stars
            .flat_map(|import| self.targets(at, &import.segments, followed + 1))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// Returns the file of a module, or, where that only re-exports, the files behind it.
    fn all_in(&self, at: &[String], followed: usize) -> Vec<PathBuf> {
        let Some(module) = self.0.get(at) else { return Vec::new() };
        if module.has_items {
            return vec![module.file.clone()];
        }
        let imports = module.mentions.iter().filter(|mention| mention.imported);
        imports.flat_map(|import| self.targets(at, &import.segments, followed + 1)).collect()
    }

    fn file(&self, at: &[String]) -> Vec<PathBuf> {
        let module = self.0.get(at).filter(|module| module.has_items);
        module.map(|module| module.file.clone()).into_iter().collect()
    }
}

/// Takes the tokens of a block, from its opening brace to its closing one, and returns what is between.
fn block(tokens: &mut impl Iterator<Item = Token>) -> Vec<Token> {
    let mut depth = 0_usize;
    let mut within = Vec::new();
    for token in tokens {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        within.push(token);
    }
    within.drain(..1.min(within.len()));
    within
}

fn has_items(tokens: &[Token]) -> bool {
    const ITEMS: &[&str] =
        &["const", "enum", "fn", "impl", "macro_rules", "static", "struct", "trait", "type"];
    (0..tokens.len()).any(|at| ITEMS.contains(&tokens[at].text.as_str()) || is(tokens, at, "union"))
}

/// Returns one line per circle of files, with the files in it and the lines that close it. Tests may
/// use what they like.
pub fn circles(uses: &[Use]) -> Vec<String> {
    let mut from: BTreeMap<&Path, Vec<&Use>> = BTreeMap::new();
    for one in uses.iter().filter(|one| !one.in_test) {
        from.entry(&one.from).or_default().push(one);
    }
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for start in from.keys() {
        if told.contains(start) {
            continue;
        }
        if let Some(circle) = shortest_circle(start, &from) {
            told.extend(circle.iter().map(|one| one.from.as_path()));
            let steps = circle.iter().map(|one| format!("{}:{}", one.from.display(), one.line));
            let steps: Vec<String> = steps.collect();
            circles.push(format!(
                "{} -> {}: split what both need off, or move one into the other",
                steps.join(" -> "),
                start.display()
            ));
        }
    }
    circles
}

/// Returns the uses that lead from a file back to it, the fewest of them.
fn shortest_circle<'a>(
    start: &Path,
    from: &BTreeMap<&'a Path, Vec<&'a Use>>,
) -> Option<Vec<&'a Use>> {
    let mut reached_by: BTreeMap<&Path, &Use> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for one in from.get(file).into_iter().flatten() {
            if one.to == start {
                let mut circle = vec![*one];
                while circle[0].from != start {
                    circle.insert(0, reached_by[circle[0].from.as_path()]);
                }
                return Some(circle);
            }
            if !reached_by.contains_key(one.to.as_path()) {
                reached_by.insert(&one.to, one);
                next.push_back(&one.to);
            }
        }
    }
    None
}

#[test]
fn a_path_is_followed_to_the_file_of_its_item() {
    let mut modules = Modules::default();
    for (file, text) in [
        ("lib.rs", "mod a; mod b; pub use a::deep::Deep; pub mod both { pub use crate::b::*; }"),
        ("a.rs", "pub mod deep; mod shallow; pub use self::shallow::Flat as Shallow;"),
        ("a/deep.rs", "pub struct Deep;"),
        ("a/shallow.rs", "pub struct Flat;"),
        ("b.rs", "pub struct B; mod tests { use crate::a::Shallow; fn f() {} }"),
    ] {
        modules.add(Path::new(file), text);
    }
    for (source, to) in [
        ("use crate::a::deep::Deep;", "a/deep.rs"),
        ("use crate::Deep;", "a/deep.rs"),
        ("use crate::a::Shallow;", "a/shallow.rs"),
        ("use crate::{a, x}; fn f() { a::Shallow::new() }", "a/shallow.rs"),
        ("use super::both::B;", "b.rs"),
        ("fn f(b: crate::b::B) {}", "b.rs"),
        ("$crate::a::deep::Deep", "a/deep.rs"),
    ] {
        modules.add(Path::new("c.rs"), &format!("struct C;\n{source}"));
        let found: Vec<_> =
            modules.uses().into_iter().filter(|one| one.from == Path::new("c.rs")).collect();
        let expected = Use { from: "c.rs".into(), line: 2, to: to.into(), in_test: false };
        assert_eq!(found, [expected], "{source}");
    }
    let in_tests = modules.uses().into_iter().find(|one| one.from == Path::new("b.rs"));
    assert!(in_tests.is_some_and(|one| one.in_test && one.to == Path::new("a/shallow.rs")));
    for source in
        ["use serde::Deserialize;", "use crate::a;", "fn f() { C::new() }", "// crate::b::B"]
    {
        modules.add(Path::new("c.rs"), &format!("struct C;\n{source}"));
        assert!(!modules.uses().iter().any(|one| one.from == Path::new("c.rs")), "{source}");
    }
}

#[test]
fn a_circle_is_named_with_its_lines() {
    let circles_of = |files: &[(&str, &str)]| {
        let mut modules = Modules::default();
        for (file, text) in files {
            modules.add(Path::new(file), text);
        }
        circles(&modules.uses())
    };
    let parent = ("a.rs", "mod one; mod two; mod three; pub use self::one::One; pub use two::Two;");
    let one = ("a/one.rs", "\nuse super::Two; pub struct One;");
    let three = ("a/three.rs", "use crate::a::One; pub struct Three;");
    let closed =
        circles_of(&[parent, one, ("a/two.rs", "use super::three::Three; pub struct Two;"), three]);
    assert_eq!(closed.len(), 1, "{closed:?}");
    let circle = "a/one.rs:2 -> a/two.rs:1 -> a/three.rs:1 -> a/one.rs: ";
    assert!(closed[0].starts_with(circle), "{closed:?}");

    let open = circles_of(&[
        parent,
        one,
        ("a/two.rs", "pub struct Two; mod tests { use super::super::One; fn f() {} }"),
        three,
    ]);
    assert_eq!(
        open,
        Vec::<String>::new(),
        "a parent that only declares is in no circle, nor is a test"
    );
    let with_items = circles_of(&[
        ("a.rs", "mod one; pub use one::One; pub struct A;"),
        ("a/one.rs", "use super::A; pub struct One;"),
    ]);
    assert_eq!(with_items.len(), 1, "a parent with items of its own is: {with_items:?}");
}
