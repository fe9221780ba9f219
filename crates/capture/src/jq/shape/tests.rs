use super::*;

fn place(table: &str, columns: &[&str], below: &[(&str, usize, bool)]) -> DocumentNode {
    DocumentNode {
        table: table.to_owned(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        below: below.iter().map(|(name, at, many)| ((*name).to_owned(), (*at, *many))).collect(),
    }
}

fn found(definitions: &str, program: &str) -> Findings {
    let places = vec![
        place(
            "sale",
            &["id", "state", "party", "doc"],
            &[("lines", 1, true), ("fees", 3, true), ("customer", 2, false)],
        ),
        place("line", &["id", "qty", "label"], &[("unit", 4, false)]),
        place("party", &["id", "name"], &[]),
        place("fee", &["id", "amount", "text"], &[]),
        place("unit", &["name"], &[]),
    ];
    let programs = [Programmed { program, places }];
    let keys = [("sale", 1), ("pair", 2)].map(|(name, columns)| (name.to_owned(), columns));
    findings(definitions, &programs, &keys.into())
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn names(definitions: &str, program: &str) -> Vec<String> {
    let wrong = found(definitions, program).wrong.into_iter();
    wrong
        .filter_map(|one| match one.what {
            Wrong::Name { name, .. } => Some(name),
            Wrong::Key { .. } => None,
        })
        .collect()
}

/// Keys that do not fit: the table and how many values are given.
fn keys(definitions: &str, program: &str) -> Vec<(String, usize)> {
    let wrong = found(definitions, program).wrong.into_iter();
    wrong
        .filter_map(|one| match one.what {
            Wrong::Name { .. } => None,
            Wrong::Key { table, given } => Some((table, given)),
        })
        .collect()
}

#[test]
fn names_that_no_row_has_are_found_wherever_they_are_read() {
    for program in [
        ".custmer",
        "{custmer}",
        ".customer.nom",
        ".customer | .nom",
        "[.lines[] | {q: .qtty}]",
        ".lines | map(.qtty)",
        "[.lines[] | select(.qtty > 1)]",
        ".lines | sort_by(.qtty) | .[0].label",
        ".lines | sort_by(.id) | first | .qtty",
        "first(.lines[] | .qtty)",
        "[limit(2; .lines[])] | .[1].unit.nom",
        ".lines as $lines | [$lines[] | .qtty]",
        "(.lines | group_by(.unit.name)[] | .[0].qtty)",
        "reduce .lines[] as $line (0; . + $line.qtty)",
        "reduce .lines[].qtty as $q (0; . + $q)",
        "any(.lines[]; .qtty)",
        ".lines | min_by(.qtty)",
        "if .sate == 1 then 1 else 2 end",
        "\"\\(.sate)\"",
        ".sate // .state",
        "def f: .sate; f",
        "def f(g): .lines | map(g); f(.qtty)",
        "def f($x): $x.nom; f(.customer)",
        ". as {$sate} | $sate",
        ". as {customer: {nom: $n}} | $n",
        "(.lines + .lines)[] | .qtty",
        "(.lines[], .fees[]) | .prix",
        ".lines.qty",
        "(.sate | uid(\"sale\"))",
        "1 | uid(\"sale\"; [2])",
        "uid(\"sale\"; [.sate])",
        ".qty | dec_add(.sate)",
    ] {
        let wrong: &[&str] = match program {
            "1 | uid(\"sale\"; [2])" => &[],
            ".lines.qty" => &["qty"],
            ".qty | dec_add(.sate)" => &["qty"],
            _ => {
                assert_eq!(names("", program).len(), 1, "{program}");
                continue;
            }
        };
        assert_eq!(names("", program), wrong, "{program}");
    }
    assert_eq!(names("def titre: .lable;", "[.lines[] | titre]"), ["lable"]);
}

#[test]
fn right_programs_are_left_alone() {
    for (definitions, program) in [
        ("", ".doc.whatever.is.within"),
        ("", ".extra = 1 | .extra"),
        ("", ".extra |= 1"),
        ("", ". + {extra: 1} | .extra"),
        ("", "{a: .state} | .a"),
        ("", ".extra?"),
        ("", "try .extra catch 1"),
        ("", ".[\"state\"]"),
        ("", "(\"st\" + \"ate\") as $n | .[$n]"),
        ("", "(.lines[], .fees[]) | .label // .text"),
        ("", "to_entries | map(.key)"),
        ("", "with_entries(.value |= tostring)"),
        ("", "[.lines[] | {a: .qty}] | map(.a) | add"),
        ("", ".lines | length"),
        ("", "[.lines[] | .unit.name] | unique | .[0]"),
        ("", "[recurse | .anything?]"),
        ("", "[.. | .anything?]"),
        ("", "[.lines | .[] | .label | split(\" \")[0]]"),
        ("", ".lines | map({id, qty}) | map(.qty)"),
        ("", "[.lines[] | select(false)][0].qty"),
        ("", "del(.extra) | .extra2"),
        ("", "path(.extra)"),
        ("def titre: .label // .text;", "[.lines[], .fees[] | titre]"),
        (
            "def titre: if has(\"label\") then .label else .text end;",
            "[(.lines[] | titre), (.fees[] | titre)]",
        ),
        ("def both(f): [(.lines[] | f), (.fees[] | f)];", "both(.label)"),
        ("def tree: .id, (.sub[]? | tree);", "[tree]"),
        ("def down: if .next == null then . else .next | down end;", "{next: .doc} | down"),
        ("def unused: .whatever;", ".state"),
        ("", ".customer as $c | .lines | map($c.name)"),
        ("", "[.lines[] | . as {$qty, unit: {name: $u}} | [$qty, $u]]"),
        ("", "[foreach .lines[] as $l ({n: 0}; .n += 1; .n)]"),
        ("", "if .customer then .customer else {name: \"?\"} end | .nom"),
    ] {
        assert_eq!(names(definitions, program), Vec::<String>::new(), "{definitions} {program}");
    }
}

#[test]
fn ids_of_keys_with_other_columns_are_found_where_that_is_certain() {
    let clean =
        "def clean: if . == null then null else trim | if . == \"\" then null else . end end;";
    for (program, given) in [
        (".party | uid(\"pair\")", 1),
        ("uid(\"pair\"; .party)", 1),
        ("uid(\"pair\"; [.party])", 1),
        ("uid(\"pair\"; [.party | clean])", 1),
        ("[.party | clean] | uid(\"pair\")", 1),
        ("uid(\"pair\"; [.party, .state, .id])", 3),
        (".party | clean | uid(\"pair\")", 1),
        ("[.lines[] | .qty | uid(\"pair\")]", 1),
        ("[.party, .state] | uid(\"sale\")", 2),
        ("def client: uid(\"pair\"; [.party]); {c: client}", 1),
        ("\"x\\(.party)\" as $p | $p | uid(\"pair\")", 1),
    ] {
        assert_eq!(
            keys(clean, program).iter().map(|(_, n)| *n).collect::<Vec<_>>(),
            [given],
            "{program}"
        );
    }
    for program in [
        "uid(\"pair\"; [.party, .state])",
        "[.party | clean, clean] | uid(\"pair\")",
        "null | uid(\"pair\")",
        "if .party == null then null else [.party, .state] end | uid(\"pair\")",
        "[.lines[].qty] | uid(\"pair\")",
        "uid(\"pair\"; [.lines[].qty, .id])",
        "uid(\"pair\"; [.party | select(. != null)])",
        "(.doc | fromjson) | uid(\"pair\")",
        "uid(\"pair\"; .doc.key)",
        "[.party | split(\"/\")[]] | uid(\"pair\")",
        ".party | split(\"/\") | uid(\"pair\")",
        "try ([.party] | uid(\"pair\")) catch null",
        "def id: uid(\"pair\"); [(.party | id), ([.party, .state] | id)]",
        "[.id] | uid(\"sale\")",
        ".id | uid(\"sale\")",
        ".party | uid(\"unheard\")",
    ] {
        assert_eq!(keys(clean, program), [], "{program}");
    }
}

#[test]
fn the_columns_that_a_field_is_made_of_are_followed() {
    let clean = "def clean: if . == null then null else trim | if . == \"\" then null else . end end; def named: map({(.label): .qty}) | add // {};";
    for (program, field, columns) in [
        ("{note: .state}", "note", &["0.state"][..]),
        ("{note: (.state | clean)}", "note", &["0.state"]),
        (
            "{note: ([.state, .party] | map(clean) | map(select(. != null)) | join(\" \") | clean)}",
            "note",
            &["0.party", "0.state"],
        ),
        ("{note: \"\\(.state) of \\(.party)\"}", "note", &["0.party", "0.state"]),
        ("{note: (if .state == \"x\" then .party else null end)}", "note", &["0.party"]),
        ("{note: {P: \"person\"}[.state]}", "note", &[]),
        ("{address: {city: .customer.name}}", "address.city", &["2.name"]),
        ("if .state == \"x\" then {absent: \"x\"} else {note: .party} end", "note", &["0.party"]),
        ("{number: .id} + {note: .party}", "note", &["0.party"]),
        (
            "{note: .party} + ({number: .id} | with_entries(select(.value != null)))",
            "note",
            &["0.party"],
        ),
        ("{lines: [.lines[] | {description: .label}]}", "lines[].description", &["1.label"]),
        ("(.lines | named) as $m | {note: $m.phone}", "note", &["1.qty"]),
        ("{note: (.state | test(\"x\"))}", "number", &[]),
        (". as {$state} | {note: $state}", "note", &["0.state"]),
        ("{note: (try (.state | tonumber) catch null)}", "note", &["0.state"]),
        ("{note: (.party | uid(\"sale\"))}", "note", &[]),
        ("{note: (.state | sub(\"a\"; \"b\"))}", "note", &["0.state"]),
        ("{note: (.state | .[0:3])}", "note", &["0.state"]),
        ("{note: (.lines | map(.label) | join(\", \"))}", "note", &["1.label"]),
        ("{note: (.doc | fromjson | .text)}", "note", &["0.doc"]),
    ] {
        let found = found(clean, program);
        assert!(found.wrong.is_empty(), "{program}: {found:?}");
        let made: Vec<String> = found.states[0]
            .get(field)
            .into_iter()
            .flatten()
            .map(|(place, column)| format!("{place}.{column}"))
            .collect();
        assert_eq!(made, columns, "{program}");
    }
}
