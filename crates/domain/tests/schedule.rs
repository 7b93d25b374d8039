//! When schedules fall due, where clocks change as well.

use domain::clock::Timestamp;
use domain::schedule::Schedule;

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond())
}

fn dues(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(cron, Some(zone)).expect("a schedule");
    schedule.next(at(from), count).iter().map(|due| due.to_string()[..16].to_owned()).collect()
}

#[test]
fn an_expression_counts_in_its_own_zone() {
    assert_eq!(dues("0 2 * * *", "UTC", "2026-11-22T02:00:00Z", 2), ["2026-11-23T02:00", "2026-11-24T02:00"]);
    assert_eq!(dues("0 2 * * *", "Europe/Madrid", "2026-11-22T00:59:59Z", 2), ["2026-11-22T01:00", "2026-11-23T01:00"]);
    assert_eq!(dues("30 9 * * MON-FRI", "Asia/Kolkata", "2026-11-21T00:00:00Z", 1), ["2026-11-23T04:00"]);
    assert_eq!(dues("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00"]);
}

#[test]
fn an_hour_that_happens_twice_counts_once_for_a_fixed_time() {
    // Madrid, 25 October 2026: 03:00 becomes 02:00; 02:30 is 00:30Z and again 01:30Z.
    let due = dues("30 2 * * *", "Europe/Madrid", "2026-10-24T12:00:00Z", 2);
    assert_eq!(due, ["2026-10-25T00:30", "2026-10-26T01:30"]);
    // Looked at between the two, it is over for the day.
    assert_eq!(dues("30 2 * * *", "Europe/Madrid", "2026-10-25T00:45:00Z", 1), ["2026-10-26T01:30"]);
    let hourly = dues("30 * * * *", "Europe/Madrid", "2026-10-25T00:00:00Z", 3);
    assert_eq!(hourly, ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"], "every real hour has its own");
}

#[test]
fn an_hour_that_does_not_happen_counts_right_after() {
    // Madrid, 29 March 2026: 02:00 becomes 03:00, at 01:00Z.
    let due = dues("30 2 * * *", "Europe/Madrid", "2026-03-28T12:00:00Z", 2);
    assert_eq!(due, ["2026-03-29T01:00", "2026-03-30T00:30"]);
}

#[test]
fn every_due_instant_lies_after_the_one_before() {
    for zone in ["UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"] {
        for cron in ["*/7 * * * *", "30 1,2,3 * * *", "0 */5 * * *", "15 2 * * 0", "59 23 L * *"] {
            let schedule = Schedule::parse(cron, Some(zone)).unwrap();
            let dues = schedule.next(at("2026-01-01T00:00:00Z"), 400);
            assert_eq!(dues.len(), 400);
            assert!(dues.windows(2).all(|two| two[0] < two[1]), "{cron} {zone}");
        }
    }
}

#[test]
fn what_is_no_schedule_says_why() {
    for (cron, zone, says) in [
        ("0 2 * *", None, "it has 4 fields, not five"),
        ("0 0 2 * * *", None, "it has 6 fields"),
        ("@daily", None, "it has 1 fields"),
        ("", None, "it has 0 fields"),
        ("61 2 * * *", None, "is not a cron expression"),
        ("0 2 * * MOO", None, "is not a cron expression"),
        ("0 2 30 2 *", None, "never falls due"),
        ("0 2 * * *", Some("Europe/Madird"), "`Europe/Madird` is not a time zone"),
    ] {
        let error = Schedule::parse(cron, zone).unwrap_err().to_string();
        assert!(error.contains(says), "{cron}: {error}");
    }
}
