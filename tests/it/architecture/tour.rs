//! The tour in `docs/architecture.md` leads to files and items that exist.

use super::{Result, root};

/// Returns the rows of the tour: a file, and the item to read in it.
fn stops(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().skip_while(|line| !line.starts_with("| | open | read |")).skip(2);
    rows.map_while(|row| {
        let mut cells = row.strip_prefix('|')?.split(" | ").skip(1);
        let (file, item) = (cells.next()?, cells.next()?);
        Some((file.trim_matches('`').to_owned(), item.trim_matches('`').to_owned()))
    })
    .collect()
}

/// Returns whether a source file defines a function or a type of this name.
fn defines(source: &str, item: &str) -> bool {
    let definitions = ["fn ", "struct ", "enum ", "trait "];
    definitions.iter().any(|keyword| {
        source.split(keyword).skip(1).any(|rest| {
            let after = rest.strip_prefix(item).and_then(|rest| rest.chars().next());
            after.is_some_and(|next| !next.is_alphanumeric() && next != '_')
        })
    })
}

#[test]
fn the_tour_leads_to_code_that_exists() -> Result<()> {
    let stops = stops(&std::fs::read_to_string(root().join("docs/architecture.md"))?);
    assert!(stops.len() > 10, "the tour has only these stops: {stops:?}");
    for (file, item) in stops {
        let source = std::fs::read_to_string(root().join(&file));
        let source = source.map_err(|error| format!("{file}: {error}"))?;
        assert!(defines(&source, &item), "{file} defines no `{item}`");
    }
    Ok(())
}

#[test]
fn an_item_is_found_by_its_whole_name() {
    let source = "pub async fn place_all() {}\nstruct Orders;";
    assert!(defines(source, "Orders"));
    assert!(defines(source, "place_all"));
    assert!(!defines(source, "place"));
}
