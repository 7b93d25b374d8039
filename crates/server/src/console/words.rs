//! The words that pages share: times, money, counts, marks.

use data::trace::State;
use domain::clock::Timestamp;
use domain::decision::{RefusedBy, Wait, WaitFor};
use domain::money::UsdMicros;
use domain::principal::Autonomy;
use domain::session::Phase;
use maud::{Markup, html};

/// An instant, to the second.
pub(super) fn instant(at: Timestamp) -> Markup {
    let text = at.to_string();
    html! { time datetime=(text) { (to_the_second(&text)) " UTC" } }
}

/// How long ago an instant is, or how far ahead; the instant itself shows where a pointer rests.
pub(super) fn ago(now: Timestamp, at: Timestamp) -> Markup {
    let text = at.to_string();
    let ms = now.since_ms(at);
    html! {
        time datetime=(text) title={ (to_the_second(&text)) " UTC" } {
            @if ms >= 0 { (roughly(ms)) " ago" } @else { "in " (roughly(-ms)) }
        }
    }
}

fn to_the_second(text: &str) -> String {
    text.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// A length of time as people say it, no finer than it is useful.
pub(super) fn lasting(ms: i64) -> String {
    let (seconds, minutes, hours, days) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{seconds}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{minutes} min"),
        3_600_000..86_400_000 => format!("{hours} h {} min", minutes % 60),
        86_400_000.. => format!("{days} d {} h", hours % 24),
    }
}

/// A length of time between now and something else: nobody counts tenths of a second there.
fn roughly(ms: i64) -> String {
    if ms < 60_000 { format!("{} s", ms / 1000) } else { lasting(ms) }
}

/// What a session is called: by its key, or by the beginning of one that was made up for it.
pub(super) fn called(key: &str) -> &str {
    let made_up = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    if made_up { &key[..8] } else { key }
}

/// Money.
pub(crate) fn money(micros: i64) -> String {
    UsdMicros(micros).to_string()
}

/// `1 token`, `12,345 tokens`.
pub(super) fn count(number: i64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with its thousands apart.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A coloured word.
pub(super) fn mark(class: &str, words: &str) -> Markup {
    html! { span class={ "mark " (class) } { (words) } " " }
}

/// The marks of whatever a script or a shadow-run had a part in.
pub(super) fn notes(scripted: bool, shadow: bool) -> Markup {
    html! {
        @if scripted { (mark("scripted", "scripted")) }
        @if shadow { (mark("shadow", "shadow: nothing is sent")) }
    }
}

/// Where a session is in its life.
pub(super) fn phase(phase: Phase) -> Markup {
    let class = match phase {
        Phase::Ready | Phase::Running => "busy",
        Phase::Suspended => "waiting",
        Phase::Finished => "good",
        Phase::Failed | Phase::Killed => "bad",
    };
    mark(class, &phase.to_string())
}

/// How far a call is.
pub(super) fn state(state: State) -> Markup {
    let (class, words) = match state {
        State::Wanted => ("", "wanted"),
        State::Waiting => ("waiting", "waits"),
        State::InFlight => ("busy", "in flight"),
        State::Answered => ("good", "answered"),
        State::Failed => ("bad", "failed"),
        State::Refused => ("bad", "refused, not sent"),
        State::Recorded => ("shadow", "shadow: recorded, not sent"),
        State::InDoubt => ("waiting", "in doubt"),
        State::Resolved => ("good", "happened, as a person says"),
        State::Abandoned => ("waiting", "let be: nobody knows"),
        State::Dropped => ("bad", "dropped"),
    };
    mark(class, words)
}

/// How much an agent may do on its own.
pub(super) fn autonomy(autonomy: Autonomy) -> Markup {
    match autonomy {
        Autonomy::Shadow => notes(false, true),
        Autonomy::Supervised => mark("waiting", "supervised: every write asks"),
        Autonomy::Autonomous => html! {},
    }
}

/// What refused.
pub(super) fn refused_by(by: RefusedBy) -> &'static str {
    match by {
        RefusedBy::Identity => "identity",
        RefusedBy::Policy => "policy",
        RefusedBy::Budget => "budget",
        RefusedBy::Approval => "approval",
        RefusedBy::Arguments => "arguments",
        RefusedBy::Readiness => "readiness",
        RefusedBy::Bound => "a bound",
    }
}

/// What is waited for, with the way there.
pub(super) fn wait(wait: &Wait) -> Markup {
    match &wait.why {
        WaitFor::Approval { approval } => {
            html! { a href={ "/inbox/" (approval) } { "consent to call " (approval.call.ordinal) } }
        }
        WaitFor::Exhausted { budget } => html! { "budget " (budget) ", which is used up, until its window ends" },
        WaitFor::TiedUp { budget } => html! { "budget " (budget) ", which calls in flight tie up" },
        WaitFor::InDoubt { call } => {
            html! { a href={ "/inbox/" (call) } { "a person's word on what came of call " (call.ordinal) } }
        }
        WaitFor::Frozen { scope } => html! { (scope) " to be let go on: it is frozen" },
        WaitFor::Paused { by } => html! { "somebody to resume it: " (by) " suspended it" },
        WaitFor::Timer => html! { "its timer" },
        WaitFor::Model { failed } => {
            html! { "its model, which failed " (failed) @if *failed == 1 { " time" } @else { " times in a row" } }
        }
        WaitFor::Delegated { agent, session } => html! { a href={ "/sessions/" (session) } { (agent) } },
    }
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, ago, called, count, grouped, lasting};

    #[test]
    fn a_length_of_time_is_no_finer_than_it_is_useful() {
        let said = [
            (812, "812 ms"),
            (12_345, "12.3 s"),
            (185_000, "3 min"),
            (7_500_000, "2 h 5 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (ms, words) in said {
            assert_eq!(lasting(ms), words);
        }
    }

    #[test]
    fn an_instant_is_so_long_ago_or_so_far_ahead() {
        let (now, minute) = (Timestamp(1_000_000_000), 60_000);
        assert!(ago(now, now.plus_ms(-5 * minute)).0.contains(">5 min ago<"));
        assert!(ago(now, now.plus_ms(5 * minute)).0.contains(">in 5 min<"));
        assert!(ago(now, now.plus_ms(-1_900)).0.contains(">1 s ago<"));
    }

    #[test]
    fn a_key_that_was_made_up_is_shortened_and_no_other_is() {
        assert_eq!(called("0a816be30a7d6068d22a7053f2df812b"), "0a816be3");
        assert_eq!(called("acme-october"), "acme-october");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 12, 123, 1_234, -1_234_567].map(grouped), ["0", "12", "123", "1,234", "-1,234,567"]);
        assert_eq!(count(1, "token"), "1 token");
        assert_eq!(count(16_816, "token"), "16,816 tokens");
    }
}
