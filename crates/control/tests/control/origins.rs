//! What a stranger's text may not do: the default policy's rules on where arguments come from.

use control::decide::Verdict;
use domain::capability::Effect;
use domain::event::Event;
use domain::provenance::Provenance;

use crate::world::{Draft, World};

fn after(provenance: Option<Provenance>, effect: Effect) -> Verdict {
    World::new().ask(&Draft { provenance, effect, ..Draft::of(1) })
}

fn asks_because(verdict: &Verdict) -> Option<String> {
    let Verdict::Wait { rows, .. } = verdict else { return None };
    rows.events.iter().find_map(|event| match event {
        Event::ApprovalRequested { request, .. } => Some(request.reason.clone()),
        _ => None,
    })
}

fn provenance(unvouched: &[&str], requested: bool, tainted: bool) -> Option<Provenance> {
    let unvouched = unvouched.iter().map(|name| (*name).to_owned()).collect();
    Some(Provenance { unvouched, requested, tainted, ..Provenance::default() })
}

#[test]
fn what_a_stranger_may_have_chosen_is_put_before_a_person() {
    let verdict = after(provenance(&["to"], true, true), Effect::Write);
    let reason = asks_because(&verdict).unwrap();
    assert!(reason.contains("vouches for to of email-draft"), "{reason}");
}

#[test]
fn what_is_vouched_for_and_a_session_without_strangers_ask_nobody() {
    for (unvouched, tainted) in [(&[][..], true), (&["to"][..], false)] {
        let verdict = after(provenance(unvouched, false, tainted), Effect::Write);
        assert!(matches!(verdict, Verdict::Allow { .. }), "{verdict:?}");
    }
}

#[test]
fn what_cannot_be_undone_has_to_be_asked_for() {
    let unasked = asks_because(&after(provenance(&[], false, true), Effect::Irreversible)).unwrap();
    assert!(unasked.contains("the request names nothing of it"), "{unasked}");
    assert!(matches!(after(provenance(&[], true, true), Effect::Irreversible), Verdict::Allow { .. }));
}

#[test]
fn where_nobody_looked_everything_is_the_worst() {
    let reason = asks_because(&after(None, Effect::Write)).unwrap();
    assert!(reason.contains("vouches for"), "{reason}");
}
