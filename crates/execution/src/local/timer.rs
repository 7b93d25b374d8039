//! `internal://timer`: a session waits for an instant. It sleeps meanwhile: the wait is a record and a piece of mail,
//! and costs nothing else. What is waited for is settled once, when it is asked: a wait that is asked again, after a
//! restart or a freeze, does not begin anew.

use domain::clock::{Timestamp, length_ms};
use serde_json::Value;

/// The longest wait, in milliseconds: 366 days.
const LONGEST_MS: i64 = 366 * 86_400_000;

/// What a timer comes to now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is not over.
    Until(Timestamp),
    /// It is over, or cannot be.
    Said(Result<String, String>),
}

/// What a timer with these arguments comes to at `now`, that was settled before as `settled`.
pub(super) fn perform(arguments: &Value, settled: Option<Timestamp>, now: Timestamp) -> Told {
    match settled.map_or_else(|| asked(arguments, now), Ok) {
        Ok(until) if until > now => Told::Until(until),
        Ok(until) => Told::Said(Ok(format!("It is {now}. The wait until {until} is over."))),
        Err(why) => Told::Said(Err(why)),
    }
}

fn asked(arguments: &Value, now: Timestamp) -> Result<Timestamp, String> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let until = match (text("for"), text("until")) {
        (Some(length), None) => now.plus_ms(
            length_ms(length)
                .ok_or_else(|| format!("`for`: {length:?} is not a length of time such as 30s, 15m, 4h or 2d"))?,
        ),
        (None, Some(until)) => until.parse::<Timestamp>().map_err(|why| format!("`until`: {why}"))?,
        (None, None) | (Some(_), Some(_)) => return Err("say either `for` or `until`".to_owned()),
    };
    if until.since_ms(now) > LONGEST_MS {
        return Err(format!("{until} is more than 366 days ahead: wait for less, and look again then"));
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_334_400_000);

    #[test]
    fn a_wait_is_settled_once_and_says_the_time_when_it_is_over() {
        let wait = json!({"for": "2h"});
        let until = NOW.plus_ms(7_200_000);
        assert_eq!(perform(&wait, None, NOW), Told::Until(until));
        let later = NOW.plus_ms(3_600_000);
        assert_eq!(perform(&wait, Some(until), later), Told::Until(until), "not anew");
        let Told::Said(Ok(said)) = perform(&wait, Some(until), until) else { panic!() };
        assert!(said.contains("It is 2026-11-22T10:00:00.000Z"), "{said}");
        assert_eq!(perform(&json!({"until": "2026-11-22T10:00Z"}), None, NOW), Told::Until(until));
        assert!(matches!(perform(&json!({"until": "2026-11-22T07:00Z"}), None, NOW), Told::Said(Ok(_))));
    }

    #[test]
    fn what_is_no_wait_says_why() {
        for (arguments, says) in [
            (json!({}), "either `for` or `until`"),
            (json!({"for": "1h", "until": "2026-11-22T10:00Z"}), "either"),
            (json!({"for": "soon"}), "not a length of time"),
            (json!({"for": "367d"}), "more than 366 days"),
            (json!({"until": "tomorrow"}), "such as 2026"),
        ] {
            let Told::Said(Err(why)) = perform(&arguments, None, NOW) else { panic!("{arguments}") };
            assert!(why.contains(says), "{why}");
        }
    }
}
