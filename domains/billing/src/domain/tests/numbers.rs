//! The series.

use super::super::series::{NumberTaken, Series, SeriesDecider, TakeNumber, is_like_ours, take};
use super::*;

fn next(taken: &[&str], today: &str) -> NumberTaken {
    let issued_on = |series, issue_date: &&str| {
        let (number, issue_date) = (String::new(), day(issue_date));
        let taken = NumberTaken { number, invoice_id: INVOICE, issue_date };
        SeriesDecider::evolve(series, &taken.into())
    };
    let series = taken.iter().fold(Series::default(), issued_on);
    let last_revision = (taken.len() as u64).checked_sub(1);
    let today = day(today);
    take(&series, TakeNumber { year: 2026, last_revision, today, invoice_id: INVOICE })
}

#[test]
fn the_number_is_the_place_in_the_series() {
    assert_eq!(next(&[], "2026-01-02").number, "2026-000001");
    assert_eq!(next(&["2026-01-02"], "2026-01-02").number, "2026-000002");
    let many = TakeNumber {
        year: 2026,
        last_revision: Some(1_233_455),
        today: day("2026-12-31"),
        invoice_id: INVOICE,
    };
    assert_eq!(take(&Series::Unused, many).number, "2026-1233457");
}

#[test]
fn the_day_of_issue_is_today_but_never_before_the_last_one() {
    assert_eq!(next(&[], "2026-03-01").issue_date, day("2026-03-01"));
    assert_eq!(next(&["2026-03-01"], "2026-03-02").issue_date, day("2026-03-02"));
    assert_eq!(next(&["2026-03-01"], "2026-02-28").issue_date, day("2026-03-01"));
}

#[test]
fn numbers_that_look_like_ours_are_told() {
    for ours in ["2026-000001", "1999-123456", "2026-1234567"] {
        assert!(is_like_ours(ours), "{ours}");
    }
    for other in [
        "",
        "-",
        "FA2025-00001",
        "2026-00001",
        "26-000001",
        "2026000001",
        "2026-00000a",
        "2026-000001-A",
        "２０２６-000001",
    ] {
        assert!(!is_like_ours(other), "{other}");
    }
}
