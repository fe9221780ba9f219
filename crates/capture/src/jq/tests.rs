use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn limits() -> Limits {
    Limits { steps: 200_000, time: Duration::from_secs(60), size: 1 << 20 }
}

fn compile(program: &str) -> Result<Program, CompileError> {
    Program::compile("", program, "tryton", limits())
}

/// Runs on a thread as a [`Runner`] does, for the stack.
fn run(program: &str, input: Value) -> Result<Value, RunError> {
    let program = compile(program).unwrap();
    let stack = 256 << 20;
    std::thread::Builder::new()
        .stack_size(stack)
        .spawn(move || program.run(from_json(&input), stack))
        .unwrap()
        .join()
        .unwrap()
}

#[test]
fn a_program_turns_a_document_into_a_state() {
    let program = r#"{ names: [.people[] | select(.active) | .name], first: (.people | sort_by(.age) | .[0].name), n: (.people | length * 2) }"#;
    let input = json!({"people": [{"name": "Ada", "active": true, "age": 36}, {"name": "Blaise", "active": false, "age": 31}]});
    assert_eq!(run(program, input), Ok(json!({"names": ["Ada"], "first": "Blaise", "n": 4})));
}

#[test]
fn updates_and_paths_work_through_the_counter() {
    let input = json!({"lines": [{"q": 1}, {"q": 2}]});
    assert_eq!(
        run("(.lines[] | select(.q > 1) | .q) |= . + 1 | .lines[].q *= 3 | del(.lines[0])", input),
        Ok(json!({"lines": [{"q": 9}]}))
    );
    assert_eq!(run("[paths]", json!({"a": [1]})), Ok(json!([["a"], ["a", 0]])));
    assert_eq!(run("reduce .[] as $x (0; . + $x)", json!([1, 2, 3])), Ok(json!(6)));
    assert_eq!(run("[limit(3; repeat(1))]", json!(null)), Ok(json!([1, 1, 1])));
    assert_eq!(run("\"ab\" * 2", json!(null)), Ok(json!("abab")));
}

#[test]
fn money_is_exact() {
    for (program, expected) in [
        (r#"["0.1", "0.2", null] | dec_sum"#, json!("0.3")),
        (r#""10.00" | dec_sub("0.10")"#, json!("9.90")),
        (r#""1" | dec_add("0.5")"#, json!("1.5")),
        (r#""5.50" | dec_neg"#, json!("-5.50")),
        (r#""0.00" | dec_neg"#, json!("0.00")),
        (r#""0.055" | dec_mul("100") | dec_normal"#, json!("5.5")),
        (r#""0.2" | dec_mul("100") | dec_normal"#, json!("20")),
        ("30.700000000000003 | decimal", json!("30.700000000000003")),
        (r#""0.0875" | dec_scale"#, json!(4)),
        (r#""18.0000" | dec_scale"#, json!(0)),
        (r#""2" | dec_cmp("10")"#, json!(-1)),
        ("[] | dec_sum", json!("0")),
        ("null | dec_neg", json!(null)),
        ("null | dec_sum", json!(null)),
    ] {
        assert_eq!(run(program, json!(null)), Ok(expected), "{program}");
    }
}

#[test]
fn uid_gives_the_aggregates_id() {
    let expected = crate::aggregate_id("tryton", "sale_sale", "17").to_string();
    assert_eq!(run(r#"uid("sale_sale")"#, json!(17)), Ok(json!(expected)));
    assert_eq!(run(r#"uid("sale_sale")"#, json!("17")), Ok(json!(expected)));
    assert_eq!(run(r#"uid("sale_sale")"#, json!(null)), Ok(json!(null)));
    assert_eq!(run(r#"17.0 | uid("sale_sale")"#, json!(null)), Ok(json!(expected)));
    let of_a_flag = crate::aggregate_id("tryton", "sale_sale", "true").to_string();
    assert_eq!(run(r#"uid("sale_sale")"#, json!(true)), Ok(json!(of_a_flag)));
}

#[test]
fn what_reaches_outside_does_not_compile() {
    for name in [
        "env",
        "$ENV",
        "now",
        "input",
        "inputs",
        "debug",
        "stderr",
        "halt",
        "halt_error",
        "input_filename",
        "localtime",
        "debug(\"x\")",
        "halt(3)",
        "\"x\" | halt_error(1)",
    ] {
        let error = compile(&format!("{{a: 1}}\n| [{name}]")).unwrap_err().to_string();
        assert!(
            error.contains("program, line 2") && error.contains("not available"),
            "{name}: {error}"
        );
    }
    let hidden = Program::compile("def x: env;", "x", "tryton", limits()).unwrap_err().to_string();
    assert!(hidden.starts_with("jq.defs, line 1"), "{hidden}");
    for program in
        ["import \"a\" as a; .", "include \"a\"; .", "$__loc__", "getenv(\"HOME\")", "@nope"]
    {
        assert!(compile(program).is_err(), "{program}");
    }
}

#[test]
fn a_mistake_is_named_with_its_line() {
    for (program, expected) in [
        (".a\n| elsewhere(1)", "program, line 2: there is no filter `elsewhere/1`"),
        (".a\n| $nope", "program, line 2: there is no variable `$nope`"),
        ("{a: }", "program, line 1: expected term, found `}`"),
        ("if . then 1", "program, line 1: expected else or end, found the end"),
        (".a\n| \u{a7}", "program, line 2: unexpected character `\u{a7}`"),
        (
            ". as [$x (1,2,3,4,5,6,7,8,9,10,11,12)] | 1",
            "program, line 1: expected comma or right bracket, found `(1,2,3,4,5,6,7,8,9,1…`",
        ),
        (
            ".a | dec_mult(\"2\")",
            "program, line 1: there is no filter `dec_mult/1`; did you mean `dec_mul`?",
        ),
        (".a | trm", "program, line 1: there is no filter `trm/0`; did you mean `trim`?"),
        (".a | walk", "program, line 1: there is no filter `walk/0`; there is `walk/1`"),
        (
            ".a | todate",
            "program, line 1: `todate` is not available in mappings: use `unix_time`, `date`, `date_time`, `utc` and `local_date`",
        ),
        (
            ".a | INDEX(.b)",
            "program, line 1: `INDEX` is not available in mappings: use `map({(.key | tostring): .}) | add`",
        ),
    ] {
        assert_eq!(compile(program).unwrap_err().to_string(), expected, "{program}");
    }
}

#[test]
fn exactly_one_output() {
    assert_eq!(run("empty", json!(1)), Err(RunError::Outputs("no")));
    assert_eq!(run("1, 2", json!(1)), Err(RunError::Outputs("several")));
}

#[test]
fn nothing_runs_for_ever() {
    for program in [
        "[range(1e12)]",
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: try f catch f; f",
        "last(repeat(1))",
        "[recurse(. + 1)] | length",
        "reduce range(1e9) as $i (0; . + 1)",
        "[limit(1e9; repeat(1))]",
        "def f: . as $x | [$x] | f; f",
        "until(false; . + 1)",
        "first(while(true; .) | select(false))",
        "[.,.,.,.] | combinations(30) | empty",
        "label $out | foreach repeat(1) as $i (0; . + 1; empty)",
    ] {
        let error = run(program, json!(1)).unwrap_err();
        assert!(matches!(error, RunError::Stopped(_)), "{program}: {error:?}");
    }
}

#[test]
fn nothing_grows_without_bound() {
    let grown = run("reduce range(60) as $i (\"x\"; . + .)", json!(null));
    assert_eq!(grown, Err(RunError::Stopped("a value is too large")));
    let grown = run("reduce range(60) as $i ([1]; . + .)", json!(null));
    assert_eq!(grown, Err(RunError::Stopped("a value is too large")));
    assert!(run("\"x\" * 1000000000000", json!(null)).is_err());
    assert!(run("{s: \"x\"} | .s *= 1000000000000", json!(null)).is_err());
    assert_eq!(
        run("reduce range(60) as $i (1; [., .])", json!(null)),
        Err(RunError::Output("is too large"))
    );
}

#[test]
fn a_stop_cannot_be_caught() {
    let caught = run("try [range(1e12)] catch \"fine\"", json!(null));
    assert_eq!(caught, Err(RunError::Stopped("too many steps")));
}

#[test]
fn errors_hold_no_data() {
    let input = json!({"name": "Ada Martin", "email": "ada@exemple.fr", "n": 4711});
    for program in [
        ".name.x",
        ". + 1",
        "error",
        "error(.name)",
        ".n | .[0]",
        "error(\"no \\(.name)\")",
        "-.email",
        ".name | tonumber",
        ".name | date(\"YYYYMMDD\")",
        ".email | utc(\"Europe/Paris\")",
        ".name as $zone | \"2008-07-14\" | utc($zone)",
        ".name | base64_decode",
        ".email | hex_decode",
        ".name as $mode | 1 | dec_round(2; $mode)",
        ".name | test([])",
        ".n | test(\"4\")",
        ".name | dec_div(\"3\"; 2; \"down\")",
    ] {
        let text = run(program, input.clone()).unwrap_err().to_string();
        for secret in ["Ada", "Martin", "exemple", "4711"] {
            assert!(!text.contains(secret), "{program}: {text}");
        }
    }
    for (program, said) in [
        (".n | ltrimstr([]) | explode", "cannot use a number as string"),
        (".name | implode", "cannot use a text as array"),
    ] {
        let text = run(program, input.clone()).unwrap_err().to_string();
        assert!(text.ends_with(said), "{program}: {text}");
    }
    assert_eq!(
        run("error(\"a sale without currency\")", input),
        Err(RunError::Failed("a sale without currency".to_owned()))
    );
}

#[test]
fn what_is_wrong_with_constant_arguments_is_said_before_anything_runs() {
    for (program, expected) in [
        (".a\n| date(\"yyyymmdd\")", "program, line 2: a date cannot have the form `yyyymmdd`"),
        (".a | utc(\"Europe/Pari\")", "program, line 1: there is no time zone `Europe/Pari`"),
        (".a | local_date(\"Paris\")", "program, line 1: there is no time zone `Paris`"),
        (".a | dec_round(2; \"nearest\")", "there is no mode of rounding `nearest`"),
        (".a | base64_decode(\"ebcdic\")", "there is no character set `ebcdic`"),
        (".a | test(\"(\")", "the regular expression is not valid: error: unclosed group"),
        (".a | test(\"a\"; \"q\")", "unknown flag; the flags are g, i, l, m, n, p, s, x"),
        (".a | sub(\"(?=a)\"; \"\")", "look-around"),
        (".a | gsub(\"a{1000}{1000}\"; \"\")", "not valid, or too large"),
    ] {
        let error = compile(program).unwrap_err().to_string();
        assert!(error.contains(expected), "{program}: {error}");
    }
    assert!(Program::compile("def date($f): $f;", "date(\"any\")", "tryton", limits()).is_ok());
}

#[test]
fn regular_expressions_are_bounded() {
    let text = "a".repeat(60_000);
    assert_eq!(run("test(\"(a+)+$\")", json!(format!("{text}b"))), Ok(json!(false)));
    let long = run("test(\"a\")", json!("a".repeat(70_000))).unwrap_err().to_string();
    assert!(long.contains("too long for a regular expression"), "{long}");
    // An expression made of data is not known before the run.
    let made = run(". as $p | \"x\" | test($p)", json!("(Ada Martin")).unwrap_err().to_string();
    assert!(made.contains("not valid") && !made.contains("Ada"), "{made}");
    let stopped = run("[range(1e6) | \"aaaaaaaaaa\" | scan(\"a\")] | length", json!(null));
    assert_eq!(stopped, Err(RunError::Stopped("too many steps")));
}

#[rstest]
#[case("tojson")]
#[case("tostring")]
#[case("@json")]
#[case("\"\\(.)\"")]
#[case("tobytes")]
fn text_of_a_value_that_shares_its_parts_is_bounded(#[case] writing: &str) {
    let program = format!("reduce range(60) as $i ([1]; [., .]) | {writing}");
    assert_eq!(run(&program, json!(null)), Err(RunError::Stopped("a value is too large")));
}

#[test]
fn an_output_that_shares_its_parts_is_bounded() {
    let stopped = run("reduce range(60) as $i ([1]; [., .])", json!(null));
    assert_eq!(stopped, Err(RunError::Output("is too large")));
    let texts =
        run("(\"a\" * 1000000) as $t | [range(10) | $t] | [range(100) as $i | .]", json!(null));
    assert_eq!(texts, Err(RunError::Output("is too large")));
}

#[test]
fn an_error_about_a_value_that_shares_its_parts_is_told() {
    let failed = run("reduce range(60) as $i ([1]; [., .]) | . * {}", json!(null));
    assert!(matches!(failed, Err(RunError::Failed(_))), "{failed:?}");
}

#[test]
fn what_a_run_gathers_in_arrays_is_bounded() {
    let texts = run("(\"a\" * 1000000) as $t | [range(1000) | $t]", json!(null));
    assert_eq!(texts, Err(RunError::Stopped("a value is too large")));
    let nested = run("reduce range(10000) as $i (1; {a: .}) | [paths]", json!(null));
    assert_eq!(nested, Err(RunError::Stopped("a value is too large")));
    // What is only taken from the document is no more than it.
    let row: Value = (0..100).map(|column| (format!("c{column}"), json!(column))).collect();
    let often = "[range(20) as $i | [.[] | select(.c1 == 1)] | length] | add";
    assert_eq!(run(often, json!(vec![row; 300])), Ok(json!(6_000)));
}

#[test]
fn a_key_of_several_columns_gives_the_id_of_its_row() {
    let expected = crate::aggregate_id("tryton", "CLIENTS", r#"["001","C12     "]"#).to_string();
    let input = json!({"SOC": "001", "CLI": "C12     ", "N": 7, "NONE": null});
    assert_eq!(run(r#"uid("CLIENTS"; [.SOC, .CLI])"#, input.clone()), Ok(json!(expected)));
    assert_eq!(run(r#"[.SOC, .CLI] | uid("CLIENTS")"#, input.clone()), Ok(json!(expected)));
    assert_eq!(run(r#"uid("CLIENTS"; [.SOC, .NONE])"#, input.clone()), Ok(json!(null)));
    let number = crate::aggregate_id("tryton", "T", r#"["001","7"]"#).to_string();
    assert_eq!(run(r#"uid("T"; [.SOC, .N])"#, input.clone()), Ok(json!(number)));
    assert!(run(r#"uid("T"; {})"#, input).is_err());
}

#[tokio::test]
async fn a_runner_answers_in_order() {
    let runner = Runner::start(Duration::from_secs(60)).unwrap();
    let program = std::sync::Arc::new(compile(". + 1").unwrap());
    let jobs = (0..100_isize).map(|n| Job { program: program.clone(), input: Val::from(n) });
    let answers = runner.run(jobs.collect()).await.unwrap();
    let expected: Vec<_> = (1..=100).map(|n| Ok(json!(n))).collect();
    assert_eq!(answers, expected);
}

#[test]
fn a_key_with_other_columns_than_the_tables_gives_no_id() {
    let names = Names {
        source: "gescom".to_owned(),
        key_columns: [("CLIENTS".to_owned(), 2), ("PAYS".to_owned(), 1)].into(),
        ..Names::default()
    };
    let run = |program: &str, input: Value| {
        let program = Program::compile("", program, names.clone(), limits()).unwrap();
        program.run(from_json(&input), 1 << 20)
    };
    let wrong = "the program failed: uid takes as many values as the table's key has columns";
    for (program, input) in [
        ("uid(\"CLIENTS\")", json!("C12")),
        ("uid(\"CLIENTS\")", json!(["C12"])),
        ("uid(\"CLIENTS\")", json!(["001", "C12", "x"])),
        ("uid(\"CLIENTS\"; [.])", json!(null)),
        ("uid(\"PAYS\")", json!(["BE", "FR"])),
    ] {
        let error = run(program, input).unwrap_err().to_string();
        assert!(error.starts_with(wrong), "{program}: {error}");
    }
    let id = run("uid(\"CLIENTS\")", json!(["001", "C12"])).unwrap();
    assert_eq!(id, run("tojson | uid(\"CLIENTS\")", json!(["001", "C12"])).unwrap());
    assert_eq!(run("uid(\"CLIENTS\")", json!(null)), Ok(json!(null)));
    assert!(run("uid(\"PAYS\")", json!(["BE"])).is_ok());
}

#[test]
fn seconds_since_1970_are_read() {
    for (program, expected) in [
        ("1215985500 | unix_time", json!("2008-07-13T21:45:00Z")),
        ("\" 1215985500 \" | unix_time", json!("2008-07-13T21:45:00Z")),
        ("\"1215985500.25\" | unix_time", json!("2008-07-13T21:45:00.250Z")),
        ("1215985500250 | unix_time(\"ms\")", json!("2008-07-13T21:45:00.250Z")),
        ("\"1215985500250000\" | unix_time(\"us\")", json!("2008-07-13T21:45:00.250Z")),
        ("-1 | unix_time", json!("1969-12-31T23:59:59Z")),
        ("-1.5 | unix_time", json!("1969-12-31T23:59:58.500Z")),
        ("0 | unix_time", json!("1970-01-01T00:00:00Z")),
        ("null | unix_time", json!(null)),
        ("\"  \" | unix_time", json!(null)),
        ("1219874400 | unix_time | local_date(\"Europe/Paris\")", json!("2008-08-28")),
    ] {
        assert_eq!(run(program, json!(null)), Ok(expected), "{program}");
    }
    for (program, expected) in [
        ("\"soon\" | unix_time", "the text is not a number of seconds"),
        ("1e30 | unix_time", "the day is before the year 1000 or after 9999"),
        ("{} | unix_time", "the text is not a number of seconds"),
    ] {
        let error = run(program, json!(null)).unwrap_err().to_string();
        assert!(error.contains(expected), "{program}: {error}");
    }
    let error = compile("1 | unix_time(\"min\")").unwrap_err().to_string();
    assert!(error.ends_with("there is no unit `min`"), "{error}");
}
