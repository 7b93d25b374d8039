//! Keys of three kinds, and who they let in.

use control::Registry;
use control::identity::authenticate;
use domain::control::{ControlEvent, KeyHolder, Kind};
use domain::id::Digest;
use domain::principal::Caller;

use crate::world::{ARTICLE, after, applied, name, person};

fn with_key(holder: KeyHolder, key: &str) -> Registry {
    let events = [
        applied(ARTICLE),
        ControlEvent::PersonAdded { person: name("ana"), groups: vec![name("finance-platform")] },
        ControlEvent::KeyAdded { id: "k1".to_owned(), key_of: holder, hash: Digest::of(key.as_bytes()) },
    ];
    after(&Registry::default(), &events)
}

#[test]
fn a_key_lets_its_holder_in() {
    let agent = name("reconciliation-finance");
    let holders = [
        (KeyHolder::Admin, "ostler_admin_k1_s3cret", Caller::Admin),
        (KeyHolder::Person { person: name("ana") }, "ostler_person_k1_s3cret", person("ana", &["finance-platform"])),
        (KeyHolder::Agent { agent: agent.clone() }, "ostler_agent_k1_s3cret", Caller::Agent { name: agent }),
    ];
    for (holder, key, caller) in holders {
        assert_eq!(authenticate(&with_key(holder, key), key), Some(caller));
    }
}

#[test]
fn anything_else_lets_nobody_in() {
    let registry = with_key(KeyHolder::Admin, "ostler_admin_k1_s3cret");
    let wrong = [
        "",
        "ostler_",
        "ostler_admin_k1",
        "ostler_admin_k1_",
        "ostler_admin_k1_S3cret",
        "ostler_admin_k2_s3cret",
        "ostler_person_k1_s3cret",
        " ostler_admin_k1_s3cret",
        "ostler_admin_k1_s3cret_",
    ];
    for key in wrong {
        assert_eq!(authenticate(&registry, key), None, "{key:?}");
    }
}

#[test]
fn a_revoked_key_lets_nobody_in() {
    let registry = with_key(KeyHolder::Admin, "ostler_admin_k1_s3cret");
    let registry = after(&registry, &[ControlEvent::KeyRevoked { id: "k1".to_owned() }]);
    assert_eq!(authenticate(&registry, "ostler_admin_k1_s3cret"), None);
}

#[test]
fn a_persons_groups_are_those_of_now() {
    let holder = KeyHolder::Person { person: name("ana") };
    let registry = with_key(holder, "ostler_person_k1_s3cret");
    let left = ControlEvent::PersonAdded { person: name("ana"), groups: vec![name("sales")] };
    let registry = after(&registry, &[left]);
    assert_eq!(authenticate(&registry, "ostler_person_k1_s3cret"), Some(person("ana", &["sales"])));
}

#[test]
fn a_deleted_agents_key_lets_nobody_in() {
    let agent = name("reconciliation-finance");
    let registry = with_key(KeyHolder::Agent { agent: agent.clone() }, "ostler_agent_k1_s3cret");
    let deleted = ControlEvent::Deleted { of: Kind::Agent, name: agent, by: "admin".to_owned() };
    assert_eq!(authenticate(&after(&registry, &[deleted]), "ostler_agent_k1_s3cret"), None);
}
