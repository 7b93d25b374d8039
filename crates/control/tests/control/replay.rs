//! Replay: what is recorded is asked about again as it was, and with one thing changed.

use std::sync::Arc;

use control::Verdict;
use control::policy::check::Definitions;
use control::policy::suppose::Decision;
use control::replay::{Changed, Recordings, Replayed, again};
use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement, Stop};
use domain::control::{ControlEvent, ControlRecord};
use domain::decision::DecidedAt;
use domain::descriptor::{Descriptor, parse_file};
use domain::event::{Event, Intent};
use domain::heard::Heard;
use domain::id::{CallId, Digest, Pos, TraceId};
use domain::mail::Start;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::session::Session;

use crate::world::{ARTICLE, Draft, NOW, PARTS, World, applied, name, requested};

const LIMIT: &str = "apiVersion: agent.os/v1\nkind: Policy\nmetadata: {name: house, owner: risk}\nspec:\n  cedar: |\n    \
                     @id(\"small\")\n    forbid(principal, action in Action::\"Write\", resource) when { \
                     context.value_usd_micros > 40000000 };\n";

/// A session and what was recorded of it, decision by decision.
struct Tape {
    agent: String,
    world: World,
    session: Session,
    recordings: Recordings,
}

impl Tape {
    fn of(agent: &str) -> Self {
        let world = World::with(agent);
        let principal = world.principal.clone();
        let start = Start {
            principal: principal.clone(),
            key: "k".to_owned(),
            trace: TraceId(1),
            case: None,
            partition: None,
            attached: false,
        };
        let session = Session::started(principal.link.session, start, NOW);
        Tape { agent: agent.to_owned(), world, session, recordings: Recordings::default() }
    }

    fn happened(&mut self, event: &Event, heard: Option<Arc<Heard>>) {
        self.recordings.note(&self.session, event, NOW, heard);
        self.session.apply(event, NOW);
    }

    /// The gate is asked, and its answer recorded as the doors record it.
    fn call(&mut self, draft: &Draft) -> CallId {
        let call = self.wanted(draft);
        match self.world.ask(draft) {
            Verdict::Allow { rows, decided, .. } => {
                self.world.holdings.undo(&rows.holdings);
                self.happened(&sent(draft, call, decided), None);
            }
            Verdict::Wait { rows, .. } => {
                let mut request = requested(&rows.events);
                request.approval.call = call;
                let decided = rows.events.iter().find_map(|event| match event {
                    Event::ApprovalRequested { decided, .. } => Some(decided.clone()),
                    _ => None,
                });
                self.happened(&Event::ApprovalRequested { request, decided: decided.unwrap() }, None);
            }
            Verdict::Deny { rows, refusal } => {
                let decided = rows.events.iter().find_map(|event| match event {
                    Event::CallRefused { decided, .. } => Some(decided.clone()),
                    _ => None,
                });
                let capability = Some(draft.capability.name().to_string());
                let (model, decided) = (false, decided.unwrap());
                let refused = Event::CallRefused { call, model, capability, refusal, decided };
                self.happened(&refused, Some(Arc::default()));
            }
            Verdict::Record { .. } => panic!("it is not in shadow"),
        }
        call
    }

    /// The model asks for it.
    fn wanted(&mut self, draft: &Draft) -> CallId {
        let call = CallId { session: self.session.id, ordinal: self.session.next_ordinal };
        let content = Content::Use {
            use_id: format!("use-{}", call.ordinal),
            capability: draft.capability.name().to_string(),
            arguments: draft.arguments.clone(),
            malformed: None,
        };
        let part = Part { content, origin: Origin::Runtime, labels: Vec::new(), trust: Trust::Trusted };
        let message = Message { role: Role::Agent, parts: vec![part] };
        let outcome = CallOutcome::Answered { message, stop: Some(Stop::Use) };
        self.session.apply(&Event::ModelAnswered { call, attempt: 1, outcome, settlement: Settlement::default() }, NOW);
        assert!(self.session.open.contains_key(&call.ordinal), "it is open");
        call
    }

    fn replay(self, changed: &[Descriptor]) -> Replayed {
        let groups = vec![name("finance-platform")];
        let ana = ControlEvent::PersonAdded { person: name("ana"), groups };
        let events = (1..).zip([applied(PARTS), applied(&self.agent), ana]);
        let records: Vec<_> = events.map(|(pos, event)| ControlRecord { pos: Pos(pos), at: NOW, event }).collect();
        let schema = Arc::new(Draft::of(1).input_schema);
        let definitions = Definitions::from([(Draft::of(1).capability, schema)]);
        let spent = |_: &domain::id::Name, _, _| Some(0);
        again(&records, self.recordings, &Changed { descriptors: changed, definitions: &definitions, spent: &spent })
            .unwrap()
    }
}

fn sent(draft: &Draft, call: CallId, decided: DecidedAt) -> Event {
    let hash = Digest::of_json(&draft.arguments);
    let intent = Intent {
        call,
        attempt: 1,
        arguments_hash: hash,
        schema_hash: draft.schema,
        decided,
        worst: Amounts::default(),
        holds: Vec::new(),
        idempotency_key: String::new(),
    };
    Event::CallRequested {
        intent,
        capability: draft.capability.clone(),
        arguments: draft.arguments.clone(),
        effect: draft.effect,
        value_usd_micros: draft.value,
        approval: None,
        provenance: draft.provenance.clone().map(Box::new),
    }
}

fn read(text: &str) -> Vec<Descriptor> {
    parse_file("changed.yaml", text, &|_| None).unwrap()
}

fn unlisted() -> Draft {
    Draft { capability: "mcp://gateway/sap-invoice-pay".parse().unwrap(), ..Draft::of(1) }
}

/// Four drafts, one of them above the limit at which people are asked, and a tool that is not listed.
fn tape() -> (Tape, Vec<CallId>) {
    let mut tape = Tape::of(ARTICLE);
    let calls = [30, 50, 5000].map(|usd| tape.call(&Draft::of(usd))).to_vec();
    let last = tape.call(&unlisted());
    (tape, [calls, vec![last]].concat())
}

#[test]
fn nothing_changes_where_nothing_is_changed() {
    let (tape, _) = tape();
    let replayed = tape.replay(&read(ARTICLE));
    assert_eq!((replayed.decisions, replayed.flips.len(), replayed.untold.len()), (4, 0, 0), "{replayed:#?}");
    assert_eq!(replayed.closing(), "None of 4 decisions changes.");
}

#[test]
fn a_policy_flips_what_it_forbids_and_nothing_else() {
    let (tape, calls) = tape();
    let replayed = tape.replay(&read(LIMIT));
    assert_eq!(replayed.closing(), "2 of 4 decisions change; here they are.");
    let flips: Vec<_> = replayed.flips.iter().map(|flip| (flip.call, flip.was, flip.would, flip.off_record)).collect();
    assert_eq!(
        flips,
        [(calls[1], Decision::Allow, Decision::Deny, false), (calls[2], Decision::Ask, Decision::Deny, true)]
    );
    let told = &replayed.flips[0];
    assert_eq!(told.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["house/small"]);
    assert!(told.rules[0].text.contains("40000000") && told.input["amount_usd"] == 50, "{told:#?}");
}

#[test]
fn another_revision_is_asked_about_what_the_session_did() {
    let (tape, calls) = tape();
    let wider = ARTICLE.replace("on_action_value_usd_gt: 1000", "on_action_value_usd_gt: 10000");
    let replayed = tape.replay(&read(&wider));
    let flips: Vec<_> = replayed.flips.iter().map(|flip| (flip.call, flip.was, flip.would)).collect();
    assert_eq!(flips, [(calls[2], Decision::Ask, Decision::Allow)]);
    assert!(replayed.models_see.is_empty(), "a limit is nothing that a model sees");
}

#[test]
fn a_revision_that_lists_fewer_tools_denies_what_they_did() {
    let (tape, _) = tape();
    let narrower = ARTICLE.replace("    - mcp://gateway/email-draft\n", "");
    let replayed = tape.replay(&read(&narrower));
    assert_eq!(replayed.flips.len(), 3, "{replayed:#?}");
    assert!(replayed.flips.iter().all(|flip| flip.would == Decision::Deny));
}

#[test]
fn what_the_record_does_not_bear_out_is_told_and_not_counted() {
    let (mut tape, _) = tape();
    let call = CallId { session: tape.session.id, ordinal: 99 };
    // It is written that a call of 5000 dollars went without a question.
    let decided = DecidedAt { control_pos: Pos(3), policy_set: Digest::of(b""), policy_ids: Vec::new() };
    tape.happened(&sent(&Draft::of(5000), call, decided), None);
    let replayed = tape.replay(&read(LIMIT));
    assert_eq!((replayed.decisions, replayed.untold.len()), (4, 1), "{replayed:#?}");
    assert!(replayed.untold[0].why.contains("the record says allow") && replayed.untold[0].call == call);
}

#[test]
fn what_a_budget_refused_is_not_asked_about() {
    let mut tape = Tape::of(&ARTICLE.replace("usd_per_day: 40", "usd_per_day: 0"));
    tape.call(&Draft::of(30));
    let replayed = tape.replay(&read(LIMIT));
    assert_eq!((replayed.decisions, replayed.refused_otherwise), (0, 1), "{replayed:#?}");
}
