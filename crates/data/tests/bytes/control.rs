//! One example of each control event at least, and of each shape within it that is persisted.

use domain::budget::{BudgetKey, Meter, Subject, Window};
use domain::change::{Base, Change, Closed, Differs, Direction, Proposal, Rehearsal, Target};
use domain::clock::Timestamp;
use domain::control::{
    Applied, CapChange, Channel, ControlEvent, HumanCase, KeyHolder, Kind, Scope, StandingGrant, Webhook,
};
use domain::id::ApprovalId;
use domain::principal::Autonomy;
use serde_json::json;

use crate::part::{approval, digest, email, name, session};

/// How many kinds there are.
pub(crate) const KINDS: usize = 22;

/// A number per kind, dense.
pub(crate) fn number(event: &ControlEvent) -> usize {
    match event {
        ControlEvent::Applied { .. } => 0,
        ControlEvent::Deleted { .. } => 1,
        ControlEvent::PersonAdded { .. } => 2,
        ControlEvent::KeyAdded { .. } => 3,
        ControlEvent::KeyRevoked { .. } => 4,
        ControlEvent::Frozen { .. } => 5,
        ControlEvent::Unfrozen { .. } => 6,
        ControlEvent::CasesImported { .. } => 7,
        ControlEvent::AutonomyGranted { .. } => 8,
        ControlEvent::WebhookAdded { .. } => 9,
        ControlEvent::WebhookStopped { .. } => 10,
        ControlEvent::WebhookDeleted { .. } => 11,
        ControlEvent::BudgetSet { .. } => 12,
        ControlEvent::BudgetRaised { .. } => 13,
        ControlEvent::GrantGiven { .. } => 14,
        ControlEvent::GrantSeconded { .. } => 15,
        ControlEvent::GrantRevoked { .. } => 16,
        ControlEvent::ChannelSet { .. } => 17,
        ControlEvent::ChannelRemoved { .. } => 18,
        ControlEvent::ChangeProposed { .. } => 19,
        ControlEvent::ChangeDecided { .. } => 20,
        ControlEvent::ChangeClosed { .. } => 21,
    }
}

pub(crate) fn examples() -> Vec<ControlEvent> {
    let by = || "admin".to_owned();
    let kinds = [Kind::Agent, Kind::Capability, Kind::McpServer, Kind::ModelProvider];
    let resources = kinds.map(|kind| Applied {
        kind,
        name: name("ledger-read"),
        revision: digest("descriptor"),
        descriptor: json!({"kind": "Any", "metadata": {"name": "ledger-read"}, "weight": 0.5}),
    });
    let mut all = vec![
        ControlEvent::Applied { resources: resources.to_vec(), by: by(), reason: String::new() },
        ControlEvent::Deleted { of: Kind::Agent, name: name("finance"), by: by() },
        ControlEvent::PersonAdded { person: name("ana"), groups: vec![name("finance-platform")] },
        ControlEvent::KeyRevoked { id: "key-1".to_owned() },
        ControlEvent::Unfrozen { what: Scope::All, by: by() },
        ControlEvent::CasesImported {
            agent: name("finance"),
            cases: vec![HumanCase { case: "INV-7".to_owned(), did: json!({"action": "post"}) }],
            by: by(),
        },
    ];
    let holders =
        [KeyHolder::Admin, KeyHolder::Person { person: name("ana") }, KeyHolder::Agent { agent: name("finance") }];
    let hash = digest("key");
    all.extend(holders.map(|key_of| ControlEvent::KeyAdded { id: "key-1".to_owned(), key_of, hash }));
    let scopes = [
        Scope::Session { session: session() },
        Scope::Agent { agent: name("finance") },
        Scope::Revision { revision: digest("revision") },
        Scope::Person { person: name("ana") },
        Scope::All,
    ];
    all.extend(scopes.map(|what| ControlEvent::Frozen { what, reason: "odd".to_owned(), by: by() }));
    let levels = [Autonomy::Shadow, Autonomy::Supervised, Autonomy::Autonomous];
    all.extend(levels.map(|autonomy| ControlEvent::AutonomyGranted {
        agent: name("finance"),
        revision: digest("revision"),
        autonomy,
        report: (autonomy != Autonomy::Shadow).then(|| digest("report")),
        by: "ana".to_owned(),
    }));
    all.extend(webhooks());
    all.extend(channels());
    all.extend(budgets());
    all.extend(grants());
    all.extend(changes());
    all
}

fn webhooks() -> [ControlEvent; 4] {
    let added = |webhook| ControlEvent::WebhookAdded { name: name("office"), webhook, by: "admin".to_owned() };
    let every = Webhook {
        url: "https://office.example/hook".to_owned(),
        secret: "OFFICE_SECRET".to_owned(),
        kinds: Vec::new(),
        agent: None,
        allow_private: false,
        after: "AQAAAAcABw".to_owned(),
        for_people: false,
    };
    let some = Webhook {
        kinds: vec!["finished".to_owned(), "failed".to_owned()],
        agent: Some(name("finance")),
        allow_private: true,
        ..every.clone()
    };
    [
        added(every),
        added(some),
        ControlEvent::WebhookStopped { name: name("office"), reason: "410 Gone".to_owned() },
        ControlEvent::WebhookDeleted { name: name("office"), by: "admin".to_owned() },
    ]
}

fn channels() -> [ControlEvent; 3] {
    let set = |channel| ControlEvent::ChannelSet { person: name("ana"), channel, after: "AQAAAAcABw".to_owned() };
    [
        set(Channel::Webhook { webhook: name("desk") }),
        set(Channel::Mail { address: "ana@example.com".to_owned() }),
        ControlEvent::ChannelRemoved { person: name("ana"), by: "person/ana".to_owned() },
    ]
}

/// What came to have fields since: the old lines still read.
pub(crate) fn added() -> Vec<ControlEvent> {
    let [ControlEvent::WebhookAdded { name, webhook, by }, ..] = webhooks() else { panic!("a webhook is added first") };
    let reason = "quarter's end".to_owned();
    vec![
        ControlEvent::WebhookAdded { name, webhook: Webhook { for_people: true, ..webhook }, by },
        ControlEvent::Applied { resources: Vec::new(), by: "admin".to_owned(), reason },
    ]
}

/// What policies and bounds of tools brought: a Policy as it is recorded, and a budget of a tool's.
pub(crate) fn of_policies() -> Vec<ControlEvent> {
    vec![policy(), of_a_tool()]
}

fn policy() -> ControlEvent {
    let cedar = "@id(\"small\")\nforbid(principal, action, resource) when { context.value_usd_micros > 5 };\n";
    let descriptor = json!({"apiVersion": "agent.os/v1", "kind": "Policy", "metadata": {"name": "house", "owner": "risk"},
        "spec": {"agents": ["finance"], "cedar": cedar}});
    let applied = Applied { kind: Kind::Policy, name: name("house"), revision: digest("policy"), descriptor };
    ControlEvent::Applied { resources: vec![applied], by: "admin".to_owned(), reason: String::new() }
}

/// More uses of a tool in one hour.
fn of_a_tool() -> ControlEvent {
    let subject = Subject::Tool { agent: name("finance"), tool: name("email-draft") };
    let budget = BudgetKey { subject, meter: Meter::Calls, window: Window::Hour };
    let (window_start, amount) = (Timestamp(1_795_305_600_000), 5);
    let (reason, by) = ("month's end".to_owned(), "admin".to_owned());
    ControlEvent::BudgetRaised { budget, window_start, amount, reason, by, approval: None }
}

fn grants() -> [ControlEvent; 4] {
    let every = StandingGrant {
        agent: name("finance"),
        revision: digest("descriptor"),
        capability: email(),
        when: Some("args.to.endsWith(\"@acme.example\")".parse().unwrap()),
        each_usd_micros: Some(100_000_000),
        usd_micros: Some(500_000_000),
        times: Some(50),
        until: Timestamp(1_795_305_600_000),
        reason: "month's end".to_owned(),
    };
    let some = StandingGrant { when: None, each_usd_micros: None, usd_micros: None, ..every.clone() };
    let given = |grant| ControlEvent::GrantGiven { name: name("grant-17"), grant, person: name("ana") };
    [
        given(every),
        given(some),
        ControlEvent::GrantSeconded { name: name("grant-17"), person: name("ben") },
        ControlEvent::GrantRevoked { name: name("grant-17"), by: "person/ana".to_owned(), reason: "enough".to_owned() },
    ]
}

fn budgets() -> [ControlEvent; 4] {
    let raised = |subject, approval: Option<ApprovalId>| ControlEvent::BudgetRaised {
        budget: BudgetKey { subject, meter: Meter::UsdMicros, window: Window::Day },
        window_start: Timestamp(1_795_305_600_000),
        amount: 5_000_000,
        reason: "month's end".to_owned(),
        by: "person/ana".to_owned(),
        approval,
    };
    [
        ControlEvent::BudgetSet {
            subject: Subject::Owner(name("finance-platform")),
            caps: vec![
                CapChange { meter: Meter::UsdMicros, window: Window::Day, cap: Some(40_000_000) },
                CapChange { meter: Meter::Tokens, window: Window::Hour, cap: None },
            ],
            timezone: Some("Europe/Madrid".parse().unwrap()),
            by: "admin".to_owned(),
        },
        ControlEvent::BudgetSet {
            subject: Subject::Agent(name("finance")),
            caps: Vec::new(),
            timezone: None,
            by: "admin".to_owned(),
        },
        raised(Subject::Agent(name("finance")), Some(approval())),
        raised(Subject::Session(session()), None),
    ]
}

fn changes() -> [ControlEvent; 5] {
    let (of, agent) = (Kind::Agent, name("finance"));
    let descriptor = json!({"kind": "Any", "metadata": {"name": "finance"}});
    let applied = Applied { kind: of, name: agent.clone(), revision: digest("wider"), descriptor };
    let text = "most it can spend a day: 40 -> 400 USD".to_owned();
    let change = Change { of, name: agent.clone(), direction: Direction::Widens, text, agents: vec![agent.clone()] };
    let differs = Differs {
        call: approval().call,
        agent: agent.clone(),
        capability: "email-draft".to_owned(),
        value_usd_micros: Some(1_500_000_000),
        before: "ask".to_owned(),
        after: "allow".to_owned(),
    };
    let target = Target { of, name: agent };
    let every = Proposal {
        applies: vec![applied],
        deletes: vec![Target { of: Kind::Policy, name: name("house") }],
        base: vec![Base { target, revision: Some(digest("descriptor")) }],
        changes: vec![change],
        by: "person/ana".to_owned(),
        reason: "quarter's end".to_owned(),
        expires_at: Timestamp(1_795_305_600_000),
        rehearsal: Some(Rehearsal { sessions: 20, calls: 200, changed: 3, differ: vec![differs] }),
    };
    let some = Proposal { deletes: Vec::new(), reason: String::new(), rehearsal: None, ..every.clone() };
    let proposed = |proposal| ControlEvent::ChangeProposed { name: name("change-12"), proposal };
    [
        proposed(every),
        proposed(some),
        ControlEvent::ChangeDecided {
            name: name("change-12"),
            person: name("ben"),
            approved: true,
            reason: "agreed".to_owned(),
            in_force: true,
        },
        ControlEvent::ChangeClosed {
            name: name("change-12"),
            how: Closed::Withdrawn,
            by: "person/ana".to_owned(),
            reason: "not yet".to_owned(),
        },
        ControlEvent::ChangeClosed {
            name: name("change-13"),
            how: Closed::Superseded,
            by: "person/ben".to_owned(),
            reason: "the agent changed meanwhile".to_owned(),
        },
    ]
}
