//! Every SQL statement is made by `database::statements!`, which lists it, and a test reads every list:
//! decision 8 rests on a test that prepares all statements on both engines.

use std::path::{Path, PathBuf};

use super::paths::{Token, is, is_name, mentioned_paths, tokens};
use super::purity::collect_rust_files;
use super::{Result, root};

/// What a statement begins with. Commands to a connection (`BEGIN`, `SET`, `PRAGMA`) are none.
const VERBS: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];

/// Makes statements for a list that its callers keep.
const MAKES_STATEMENTS: &[&str] =
    &["crates/database/src/documents.rs", "crates/web-api/src/listing.rs"];

/// A Rust file of the workspace.
struct File {
    /// Its path from the root of the workspace.
    path: PathBuf,
    tokens: Vec<Token>,
}

impl File {
    fn new(path: &str, source: &str) -> Self {
        Self { path: path.into(), tokens: tokens(source) }
    }

    fn is_test(&self) -> bool {
        let is_tests = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
        self.path.iter().any(is_tests) || self.path.starts_with("crates/testkit")
    }

    /// The folder of its crate, as in `domains/orders`.
    fn package(&self) -> PathBuf {
        self.path.iter().take_while(|part| *part != "src" && *part != "tests").collect()
    }

    /// Its path as a module: without the extension, and without the `mod` or `lib` that stands for the
    /// folder.
    fn module_path(&self) -> PathBuf {
        let path = self.path.with_extension("");
        let is_folder = path.ends_with("mod") || path.ends_with("lib");
        if is_folder { path.parent().map(Path::to_owned).unwrap_or_default() } else { path }
    }

    /// What other files call its module: that of `lib.rs` by the name of the crate.
    fn module(&self) -> String {
        let path = self.module_path();
        let named = if path.ends_with("src") { self.package() } else { path };
        named.file_name().unwrap_or_default().to_string_lossy().replace('-', "_")
    }

    /// Whether it names an item of a module.
    fn names(&self, module: &str, item: &str) -> bool {
        mentioned_paths(&self.tokens).iter().any(|mention| {
            let [.., within, named] = mention.segments.as_slice() else { return false };
            within == module && named.ends_with(item)
        })
    }
}

/// The bodies of the `name! { … }` or `name! other { … }` of a file, as ranges of its tokens.
fn bodies(tokens: &[Token], name: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if !(is(tokens, at, name) && is(tokens, at + 1, "!")) {
            continue;
        }
        let named = tokens.get(at + 2).is_some_and(|token| is_name(&token.text));
        let start = at + 2 + usize::from(named);
        if is(tokens, start, "{") {
            found.push(start + 1..end_of_block(tokens, start));
        }
    }
    found
}

/// Where the block ends that is opened at `start`.
fn end_of_block(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return at,
            "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// One line per statement of a file that is made outside of `statements!`.
fn outside(file: &File) -> Vec<String> {
    let tokens = &file.tokens;
    let mut made: Vec<_> = bodies(tokens, "statements");
    made.extend(bodies(tokens, "macro_rules"));
    let mut problems = Vec::new();
    for at in 0..tokens.len() {
        let is_made = made.iter().any(|body| body.contains(&at));
        if !is_made && (is_value(tokens, at) || is_constant(tokens, at)) {
            problems.push(format!(
                "{}:{}: a statement outside of `database::statements!`: make it in there, so that it is \
                 in the list that a test prepares",
                file.path.display(),
                tokens[at].line
            ));
        }
    }
    problems.dedup();
    problems
}

/// `Statement::Same(…)`, `Statement::PerEngine { … }`, `list_statements!(…)`.
fn is_value(tokens: &[Token], at: usize) -> bool {
    let is_variant = is(tokens, at + 2, "Same") || is(tokens, at + 2, "PerEngine");
    (is(tokens, at, "Statement") && is(tokens, at + 1, "::") && is_variant)
        || (is(tokens, at, "list_statements") && is(tokens, at + 1, "!"))
}

/// `const NAME: Statement = …`, `const NAME: ListStatements = …`, and `const NAME: &str = "SELECT …"`.
fn is_constant(tokens: &[Token], at: usize) -> bool {
    if !(is(tokens, at, "const") && is(tokens, at + 2, ":")) {
        return false;
    }
    if is(tokens, at + 3, "&") && is(tokens, at + 4, "str") {
        let value = tokens.iter().skip(at + 5).take_while(|token| token.text != ";");
        let text = value.into_iter().find_map(|token| token.text.strip_prefix('"'));
        return text.is_some_and(|first_word| VERBS.contains(&first_word));
    }
    is(tokens, at + 3, "Statement") || is(tokens, at + 3, "ListStatements")
}

/// The lists that the `statements!` of a file make, each with its line.
fn lists(file: &File) -> Vec<(String, usize)> {
    let mut lists = Vec::new();
    for body in bodies(&file.tokens, "statements") {
        let first = body.into_iter().find(|at| is(&file.tokens, *at, "const"));
        if let Some(token) = first.and_then(|at| file.tokens.get(at + 1)) {
            lists.push((token.text.clone(), token.line));
        }
    }
    lists
}

/// One line per list of a file that no test reads, itself or through the modules above and beside it.
fn unread(file: &File, files: &[File]) -> Vec<String> {
    lists(file)
        .into_iter()
        .filter(|(list, _)| !is_part_of_another(list, file) && !is_read(list, file, files))
        .map(|(list, line)| {
            format!(
                "{}:{line}: no test reads `{list}`: prepare it with `testkit::statements::are_prepared`",
                file.path.display()
            )
        })
        .collect()
}

fn is_read(list: &str, of: &File, files: &[File]) -> bool {
    let module_path = of.module_path();
    let module = of.module();
    let is_root = module_path.ends_with("src");
    files.iter().any(|file| {
        if file.is_test() {
            let is_near = is_root || file.package() == of.package();
            let is_below = file.path.starts_with(&module_path) && has_word(file, list);
            return (is_near && file.names(&module, list)) || is_below;
        }
        // Others may mean another module of the same name.
        let is_parent = Some(file.module_path().as_path()) == module_path.parent();
        let is_sibling = file.path != of.path && file.path.parent() == of.path.parent();
        (is_parent || is_sibling) && file.names(&module, list) && is_read(list, file, files)
    })
}

fn has_word(file: &File, word: &str) -> bool {
    file.tokens.iter().any(|token| token.text == word)
}

/// Whether the file names the list in another one, which is read in its stead.
fn is_part_of_another(list: &str, file: &File) -> bool {
    file.tokens.iter().filter(|token| token.text == list).count() > 1
}

fn workspace() -> Result<Vec<File>> {
    let mut paths = Vec::new();
    for folder in ["crates", "domains", "samples", "src"] {
        collect_rust_files(&root().join(folder), &mut paths)?;
    }
    let read = |path: PathBuf| {
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        Ok(File::new(&shown, &std::fs::read_to_string(&path)?))
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_statement_is_in_a_list_that_a_test_reads() -> Result<()> {
    let files = workspace()?;
    let product = files.iter().filter(|file| !file.is_test());
    let mut problems = Vec::new();
    let mut seen = 0;
    for file in product {
        seen += lists(file).len();
        problems.extend(unread(file, &files));
        if !MAKES_STATEMENTS.iter().any(|path| file.path == Path::new(path)) {
            problems.extend(outside(file));
        }
    }

    assert!(seen > 20, "{seen} lists: the sources are elsewhere, or are written otherwise");
    assert!(problems.is_empty(), "statements that no test prepares:\n{}", problems.join("\n"));
    Ok(())
}

#[test]
fn a_statement_outside_of_the_macro_is_named() {
    for source in [
        "const FIND: Statement = Statement::Same(\"SELECT 1\");",
        "pub(super) const FIND: Statement = timed!(\"SELECT 1\");",
        "const LIST: ListStatements = list!(\"\");",
        "let find = Statement::PerEngine { sqlite: \"SELECT 1\", postgres: \"SELECT 2\" };",
        "const FIND: &str = \"SELECT 1\";",
        "const FIND: &str = concat!(\"\\\n    WITH one AS (SELECT 1)\", \"SELECT 1\");",
        "statements! { const A: [Statement]; } const FIND: Statement = B;",
    ] {
        let problems = outside(&File::new("crates/capture/src/keys.rs", &format!("\n{source}")));
        assert_eq!(problems.len(), 1, "{source}: {problems:?}");
        assert!(problems[0].starts_with("crates/capture/src/keys.rs:2: "), "{problems:?}");
    }
    for source in [
        "database::statements! { const A: [Statement]; const B: Statement = Statement::Same(\"SELECT 1\"); }",
        "macro_rules! one { () => { Statement::Same(\"SELECT 1\") }; }",
        "const ALL: [&Statement; 1] = [&FIND];",
        "const BEGIN: &str = \"BEGIN; SET LOCAL statement_timeout = 0\";",
        "const NAME: &str = \"event store\";",
        "// const FIND: Statement = Statement::Same(\"SELECT 1\");",
    ] {
        let problems = outside(&File::new("crates/capture/src/keys.rs", source));
        assert_eq!(problems, Vec::<String>::new(), "{source}");
    }
}

#[test]
fn a_list_that_no_test_reads_is_named() {
    let made = "statements! { pub const ALL: [Statement]; const A: Statement = B; }";
    let is_read_by = |path: &str, others: &[(&str, &str)]| {
        let mut files = vec![File::new(path, made)];
        files.extend(others.iter().map(|(path, source)| File::new(path, source)));
        unread(&files[0], &files).is_empty()
    };
    let retention = "domains/billing/src/queries/retention.rs";
    let test = "domains/billing/tests/billing/statements.rs";
    assert!(is_read_by(
        retention,
        &[(test, "use billing::queries::retention; f(retention::ALL);")]
    ));
    assert!(is_read_by(retention, &[(test, "use billing::queries::retention::{ALL, over};")]));
    assert!(is_read_by(
        "crates/a/src/b.rs",
        &[("crates/a/src/b/tests.rs", "use super::*; f(ALL);")]
    ));
    let parent = ("domains/billing/src/queries.rs", "pub const ALL: [A; 1] = [retention::ALL];");
    assert!(is_read_by(retention, &[parent, (test, "f(billing::queries::ALL)")]));
    let library = ("domains/billing/src/lib.rs", "pub use queries::ALL as QUERIES_ALL;");
    let elsewhere = ("crates/testkit/tests/stores.rs", "f(billing::QUERIES_ALL);");
    assert!(is_read_by(retention, &[parent, library, elsewhere]));

    assert!(!is_read_by(retention, &[]));
    assert!(!is_read_by(retention, &[parent]), "nobody reads what it is handed on to");
    assert!(!is_read_by(retention, &[(test, "f(billing::queries::ALL)")]), "another list");
    let cousin = ("domains/billing/src/other.rs", "f(retention::ALL);");
    assert!(!is_read_by(retention, &[cousin]));
    let of_another_crate = "domains/orders/tests/orders/statements.rs";
    assert!(!is_read_by(retention, &[(of_another_crate, "f(retention::ALL);")]));
}
