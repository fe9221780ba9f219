//! docs/new-module.md shows the sample as it is.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;

#[test]
fn the_page_shows_the_sample_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/new-module.md")).unwrap();
    let (mut file, mut block, mut shown) = (None, None, 0);
    for line in page.lines() {
        match (&mut block, line) {
            (None, "```rust") => block = Some(String::new()),
            (Some(code), "```") => {
                let (name, text): &(String, String) = file.as_ref().expect("a file above the code");
                assert!(text.contains(code.as_str()), "{name} has no such lines:\n{code}");
                shown += 1;
                block = None;
            }
            (Some(code), line) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, line) if line.starts_with("`samples/") => {
                let name = line.trim_matches('`').to_owned();
                let text = std::fs::read_to_string(root.join(&name)).unwrap();
                file = Some((name, text));
            }
            _ => {}
        }
    }
    assert!(shown >= 8, "the page shows only {shown} pieces of code");
}
