//! A change that widens a protected agent waits for a second person, comes into force once and as it was shown, and
//! never by the word of whoever proposed it.

use control::apply::{Came, Wish, apply, change, delete};
use control::change::{Answer, Over, Said, WAITS_MS, answer, withdraw};
use control::error::ControlError;
use control::people::add_person;
use domain::change::{Direction, Target};
use domain::control::Kind;
use domain::id::{Digest, Name};
use domain::principal::Caller;

use crate::house::{House, parsed};
use crate::world::{ARTICLE, PARTS, name, person};

fn protected() -> String {
    ARTICLE.replace("metadata:\n", "metadata:\n  protected: true\n")
}

fn wider() -> String {
    protected().replace("usd_per_day: 40", "usd_per_day: 400")
}

fn agent() -> Name {
    name("reconciliation-finance")
}

fn ana() -> Caller {
    person("ana", &["finance-platform"])
}

fn bob() -> Caller {
    person("bob", &["finance-platform"])
}

fn in_force(house: &House) -> Option<Digest> {
    house.gate.registry().agent(&agent()).map(|entry| entry.revision)
}

fn revision(text: &str) -> Digest {
    parsed(text).remove(0).revision()
}

async fn wish(house: &House, caller: &Caller, text: &str) -> Result<Came, ControlError> {
    let wish = Wish { applies: parsed(text), reason: "quarter's end".to_owned(), ..Wish::default() };
    change(&house.gate, caller, wish).await
}

/// Proposes it; its name.
async fn proposed(house: &House, caller: &Caller, text: &str) -> Name {
    wish(house, caller, text).await.unwrap().waits.expect("it waits").change.unwrap()
}

async fn yes(house: &House, caller: &Caller, change: &Name) -> Result<Said, ControlError> {
    answer(&house.gate, caller, change, Answer { approved: true, reason: "agreed".to_owned() }).await
}

fn words<T: std::fmt::Debug>(refused: Result<T, ControlError>) -> String {
    refused.unwrap_err().to_string()
}

#[tokio::test]
async fn what_widens_waits_while_the_old_revision_stays_in_force_and_a_yes_brings_it_in() {
    let house = House::of(&protected()).await;
    let came = wish(&house, &Caller::Admin, &wider()).await.unwrap();
    assert_eq!(came.changes[0].to_string(), "Agent reconciliation-finance: most it can spend a day: 40 -> 400 USD");
    let waits = came.waits.unwrap();
    assert_eq!(
        (waits.needs[0].group.as_str(), waits.needs[0].quorum, waits.needs[0].people),
        ("finance-platform", 1, 2)
    );
    assert_eq!(came.applied[0].change, control::apply::Change::Proposed);
    assert_eq!(in_force(&house), Some(revision(&protected())), "nothing changed yet");
    let change = waits.change.unwrap();
    assert_eq!(yes(&house, &ana(), &change).await.unwrap(), Said::InForce);
    assert_eq!(in_force(&house), Some(revision(&wider())));
    let registry = house.gate.registry();
    assert!(matches!(registry.changes().get(&change).unwrap().over, Some(Over::Approved { .. })));
    let history = registry.changes().history(&agent());
    let last = history.last().unwrap();
    assert_eq!((history.len(), last.by.as_str(), last.reason.as_str()), (2, "admin", "quarter's end"));
}

#[tokio::test]
async fn what_narrows_is_immediate_and_what_does_both_waits_as_a_whole() {
    let house = House::of(&protected()).await;
    let narrower = protected().replace("calls_per_hour: 200", "calls_per_hour: 2");
    assert_eq!(wish(&house, &Caller::Admin, &narrower).await.unwrap().waits, None);
    assert_eq!(in_force(&house), Some(revision(&narrower)));
    let both = wider().replace("calls_per_hour: 200", "calls_per_hour: 1");
    let came = wish(&house, &Caller::Admin, &both).await.unwrap();
    let directions: Vec<_> = came.changes.iter().map(|change| change.direction).collect();
    assert_eq!(directions, [Direction::Widens, Direction::Narrows]);
    assert!(came.waits.is_some());
    assert_eq!(in_force(&house), Some(revision(&narrower)));
}

#[tokio::test]
async fn whoever_proposed_it_an_admin_and_an_agent_never_decide_it() {
    let house = House::of(&protected()).await;
    let change = proposed(&house, &ana(), &wider()).await;
    assert_eq!(
        words(yes(&house, &ana(), &change).await),
        format!(
            "ana proposed {change}, and may not be the one who decides it. Another person of finance-platform decides it: `ostler inbox`."
        )
    );
    for caller in [Caller::Admin, Caller::Agent { name: agent() }, person("eve", &["sales"])] {
        assert!(matches!(yes(&house, &caller, &change).await, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
    assert_eq!(in_force(&house), Some(revision(&protected())));
    assert_eq!(yes(&house, &bob(), &change).await.unwrap(), Said::InForce);
}

#[tokio::test]
async fn a_person_proposes_changes_of_protected_agents_of_their_own_group_and_nothing_else() {
    let house = House::of(&protected()).await;
    let narrower = protected().replace("usd_per_day: 40", "usd_per_day: 4");
    assert!(wish(&house, &ana(), &narrower).await.unwrap().waits.is_some(), "a person's key alone changes nothing");
    let other = protected().replace("name: reconciliation-finance", "name: another");
    for (caller, text) in [(person("eve", &["sales"]), wider()), (ana(), other), (ana(), PARTS.to_owned())] {
        assert!(matches!(wish(&house, &caller, &text).await, Err(ControlError::Forbidden { .. })));
    }
    let unprotected = House::new().await;
    let wider = ARTICLE.replace("usd_per_day: 40", "usd_per_day: 400");
    assert!(matches!(wish(&unprotected, &ana(), &wider).await, Err(ControlError::Forbidden { .. })));
    assert_eq!(wish(&unprotected, &Caller::Admin, &wider).await.unwrap().waits, None, "nothing protects it");
}

#[tokio::test]
async fn what_it_rests_on_its_protection_and_its_rules_wait_too() {
    let house = House::of(&protected()).await;
    let policy = "apiVersion: agent.os/v1\nkind: Policy\nmetadata: {name: house, owner: it}\nspec:\n  cedar: |\n    @id(\"no\") forbid(principal, action in Action::\"Write\", resource) when { context.value_usd_micros > 10 };\n";
    assert_eq!(wish(&house, &Caller::Admin, policy).await.unwrap().waits, None, "one more rule narrows");
    let each = [
        PARTS.replace("tool: draft_email, effect: write", "tool: draft_email, effect: read"),
        PARTS.replace("{command: mail}", "{command: other}"),
        PARTS.replace("prices: catalog", "prices: {claude-opus-4-7: {free: true}}"),
        policy.replace("> 10 ", "> 10000 "),
        ARTICLE.to_owned(),
    ];
    for text in each {
        let came = wish(&house, &Caller::Admin, &text).await.unwrap();
        assert_eq!(came.waits.unwrap().needs[0].agents, [agent()], "{text}");
    }
    let gone = delete(&house.gate, &Caller::Admin, Kind::Policy, &name("house")).await.unwrap();
    let change = gone.waits.unwrap().change.unwrap();
    assert!(house.gate.registry().policy(&name("house")).is_some());
    yes(&house, &ana(), &change).await.unwrap();
    assert!(house.gate.registry().policy(&name("house")).is_none());
}

#[tokio::test]
async fn to_delete_a_protected_agent_is_immediate_and_to_bring_it_back_wider_waits() {
    let house = House::of(&protected()).await;
    assert_eq!(delete(&house.gate, &Caller::Admin, Kind::Agent, &agent()).await.unwrap().waits, None);
    assert_eq!(in_force(&house), None);
    assert!(wish(&house, &Caller::Admin, ARTICLE).await.unwrap().waits.is_some(), "its protection outlives it");
    assert!(wish(&house, &Caller::Admin, &wider()).await.unwrap().waits.is_some());
    assert_eq!(wish(&house, &Caller::Admin, &protected()).await.unwrap().waits, None, "as it was");
    assert_eq!(in_force(&house), Some(revision(&protected())));
}

#[tokio::test]
async fn another_change_of_the_same_supersedes_it_with_a_sentence() {
    let house = House::of(&protected()).await;
    let change = proposed(&house, &Caller::Admin, &wider()).await;
    let narrower = protected().replace("usd_per_day: 40", "usd_per_day: 4");
    apply(&house.gate, &Caller::Admin, parsed(&narrower), false).await.unwrap();
    let said = words(yes(&house, &ana(), &change).await);
    let expected = format!("{change} is over: it was superseded at ");
    assert!(said.starts_with(&expected), "{said}");
    assert!(said.contains("admin changed Agent reconciliation-finance meanwhile"), "{said}");
    assert_eq!(in_force(&house), Some(revision(&narrower)));
}

#[tokio::test]
async fn what_would_change_more_than_was_shown_is_superseded() {
    let house = House::of(&protected()).await;
    let tool = "    - mcp://gateway/email-draft";
    let change =
        proposed(&house, &Caller::Admin, &protected().replace(tool, &format!("{tool}\n    - mcp://gateway/later")))
            .await;
    let later = "apiVersion: agent.os/v1\nkind: Capability\nmetadata: {name: later, owner: it}\nspec: {server: mail, tool: wipe}\n";
    apply(&house.gate, &Caller::Admin, parsed(later), false).await.unwrap();
    let said = words(yes(&house, &ana(), &change).await);
    assert!(said.contains("may now use later (irreversible, leaves the company)"), "{said}");
    assert!(matches!(house.gate.registry().changes().get(&change).unwrap().over, Some(Over::Superseded { .. })));
    assert_eq!(in_force(&house), Some(revision(&protected())));
}

#[tokio::test]
async fn a_no_a_withdrawal_and_silence_end_it() {
    let house = House::of(&protected()).await;
    let no = |reason: &str| Answer { approved: false, reason: reason.to_owned() };
    let change = proposed(&house, &Caller::Admin, &wider()).await;
    assert!(matches!(answer(&house.gate, &ana(), &change, no(" ")).await, Err(ControlError::Invalid { .. })));
    assert_eq!(answer(&house.gate, &ana(), &change, no("not in this quarter")).await.unwrap(), Said::Rejected);
    assert!(words(yes(&house, &bob(), &change).await).contains("ana said no at"));
    let change = proposed(&house, &ana(), &wider()).await;
    assert!(matches!(withdraw(&house.gate, &bob(), &change, "").await, Err(ControlError::Forbidden { .. })));
    withdraw(&house.gate, &ana(), &change, "not yet").await.unwrap();
    assert!(words(yes(&house, &bob(), &change).await).contains("person/ana took it back"));
    let change = proposed(&house, &Caller::Admin, &wider()).await;
    house.clock.pass(WAITS_MS);
    assert!(words(yes(&house, &bob(), &change).await).contains("nobody had answered by"));
    assert_eq!(in_force(&house), Some(revision(&protected())));
}

#[tokio::test]
async fn it_takes_as_many_people_as_a_call_does_and_each_counts_once() {
    let two = protected().replace("usd_gt: 1000", "usd_gt: 1000\n    by: {quorum: 2}");
    let house = House::of(&two).await;
    add_person(&house.gate, &Caller::Admin, &name("cho"), &[name("finance-platform")]).await.unwrap();
    let change = proposed(&house, &ana(), &two.replace("quorum: 2", "quorum: 1")).await;
    assert_eq!(yes(&house, &bob(), &change).await.unwrap(), Said::More { people: 1 });
    assert!(words(yes(&house, &bob(), &change).await).contains("bob said yes to"));
    assert!(matches!(yes(&house, &ana(), &change).await, Err(ControlError::Forbidden { .. })));
    assert_eq!(in_force(&house), Some(revision(&two)));
    assert_eq!(yes(&house, &person("cho", &["finance-platform"]), &change).await.unwrap(), Said::InForce);
}

#[tokio::test]
async fn it_comes_into_force_once_whoever_asks_and_however_often_it_crashes() {
    let mut house = House::of(&protected()).await;
    let change = proposed(&house, &Caller::Admin, &wider()).await;
    let again = proposed(&house, &Caller::Admin, &wider()).await;
    assert_eq!(change, again, "applied again after its answer was lost, it is the same proposal");
    house.restart().await;
    assert_eq!(
        house.gate.registry().changes().waiting(house.gate.registry().changes().get(&change).unwrap().at).count(),
        1
    );
    let other = house.another_gate().await;
    let approve = || Answer { approved: true, reason: String::new() };
    let (ana, bob) = (ana(), bob());
    let (here, there) =
        tokio::join!(answer(&house.gate, &ana, &change, approve()), answer(&other, &bob, &change, approve()));
    let done = [&here, &there].into_iter().filter(|said| matches!(said, Ok(Said::InForce))).count();
    assert_eq!(done, 1, "{here:?} {there:?}");
    house.restart().await;
    let registry = house.gate.registry();
    assert_eq!(registry.changes().history(&agent()).len(), 2, "once, and for good");
    assert_eq!(in_force(&house), Some(revision(&wider())));
}

#[tokio::test]
async fn a_dry_run_says_that_it_would_wait_and_records_nothing() {
    let house = House::of(&protected()).await;
    let before = house.gate.registry().pos();
    let wish = Wish { applies: parsed(&wider()), dry_run: true, ..Wish::default() };
    let came = change(&house.gate, &Caller::Admin, wish).await.unwrap();
    assert_eq!(came.waits.unwrap().change, None);
    assert_eq!(house.gate.registry().pos(), before);
    let deletes = vec![Target { of: Kind::Policy, name: name("nothing") }];
    let missing = change(&house.gate, &Caller::Admin, Wish { deletes, ..Wish::default() }).await;
    assert!(matches!(missing, Err(ControlError::NotFound { .. })));
}
