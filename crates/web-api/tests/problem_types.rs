//! What programs rely on is written down.
#![allow(missing_docs)]

#[test]
fn every_problem_type_is_documented_with_its_status() {
    let page = include_str!("../../../docs/problems.md");
    for kind in web_api::ProblemKind::ALL {
        let row = page.lines().find(|line| {
            line.starts_with(&format!("| `{}`", kind.problem_type()))
                || line.starts_with(&format!("| `{}/<code>`", kind.problem_type()))
        });
        let documented = row.is_some_and(|row| row.contains(kind.status().as_str()));
        assert!(documented, "docs/problems.md lacks {} with its status", kind.problem_type());
    }
}
