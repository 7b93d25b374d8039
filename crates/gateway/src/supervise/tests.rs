//! A server's life: started when it is needed, left alone after it failed, ended with the runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::clock::{Clock, Timestamp};
use futures::future::join;
use serde_json::{Map, json};

use super::{Condition, Server, Upstreams};
use crate::scripted_upstream::{Reply, ScriptedUpstream};
use crate::secret::Secrets;
use crate::upstream::{At, CALL_TIMEOUT, HANDSHAKE_TIMEOUT, Host, Outcome, Spec, ToolCall};

/// A clock that stands until it is moved.
#[derive(Default)]
struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(self.monotonic_ms())
    }
    fn monotonic_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct Scene {
    clock: Arc<Still>,
    script: ScriptedUpstream,
    upstreams: Upstreams,
    server: Arc<Server>,
}

fn scene() -> Scene {
    let clock = Arc::new(Still::default());
    let script = ScriptedUpstream::new().tool("echo", json!({"type": "object"}), |_| Reply::text("token tok-9"));
    let name = "ledger".parse().unwrap();
    let spec = Spec {
        name: "ledger".parse().unwrap(),
        at: At::Stdio { command: "nothing".into(), args: Vec::new() },
        secrets: Vec::new(),
        handshake: HANDSHAKE_TIMEOUT,
        timeout: CALL_TIMEOUT,
    };
    let secrets = Secrets::new([("TOKEN".to_owned(), "tok-9".to_owned())]);
    let host = Host::new("/bin/false".into(), []);
    let upstreams = Upstreams::with_scripts(secrets, host, clock.clone(), [(name, script.clone())]);
    let server = upstreams.server(&spec);
    Scene { clock, script, upstreams, server }
}

fn echo() -> ToolCall {
    let idempotency_key = "key".to_owned();
    ToolCall { tool: "echo".into(), arguments: Map::new(), idempotency_key, traceparent: None }
}

impl Scene {
    async fn call(&self) -> Result<Outcome, String> {
        let live = self.server.connected().await?;
        Ok(self.server.call(&live, echo()).await)
    }
}

#[tokio::test]
async fn a_connection_is_opened_once_and_shared() {
    let scene = scene();
    let (one, other) = join(scene.call(), scene.call()).await;
    assert!(matches!((one, other), (Ok(Outcome::Answered(_)), Ok(Outcome::Answered(_)))));
    assert_eq!((scene.script.connections(), scene.script.calls().len()), (1, 2));
    assert_eq!(scene.upstreams.conditions(), [("ledger".parse().unwrap(), Condition::Up)]);
}

#[tokio::test]
async fn secrets_never_come_back() {
    let Ok(Outcome::Answered(answer)) = scene().call().await else { panic!("an answer") };
    assert_eq!(answer.text, "token [secret TOKEN]");
}

#[tokio::test]
async fn a_server_that_dies_costs_one_call_and_is_started_again_at_once() {
    let scene = scene();
    scene.script.next([Reply::DoneAndDies]);
    assert!(matches!(scene.call().await, Ok(Outcome::Unknown { .. })));
    assert!(matches!(scene.call().await, Ok(Outcome::Answered(_))));
    assert_eq!(scene.script.connections(), 2);
}

#[tokio::test]
async fn a_server_that_keeps_dying_is_left_alone_for_a_while() {
    let scene = scene();
    scene.script.next([Reply::DoneAndDies, Reply::DoneAndDies]);
    assert!(scene.call().await.is_ok());
    assert!(scene.call().await.is_ok());
    let why = scene.call().await.unwrap_err();
    assert!(why.contains("the connection was lost. It is tried again in 1 s at the earliest"), "{why}");
    scene.clock.0.store(1_000, Ordering::Relaxed);
    assert!(matches!(scene.call().await, Ok(Outcome::Answered(_))));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_tried_ever_more_rarely() {
    let scene = scene();
    scene.script.unreachable(Some("no route"));
    let mut tried_at = Vec::new();
    for second in 0..400 {
        scene.clock.0.store(second * 1_000, Ordering::Relaxed);
        let before = scene.script.connections();
        assert!(scene.call().await.unwrap_err().contains("no route"));
        if scene.script.connections() > before {
            tried_at.push(second);
        }
    }
    assert_eq!(tried_at, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]);
    let conditions = scene.upstreams.conditions();
    assert!(matches!(&conditions[0].1, Condition::Down { why, .. } if why == "no route"));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_and_silence_ends_the_connection() {
    let scene = scene();
    scene.script.next([Reply::DoneAndHangs, Reply::DoneAndHangs, Reply::DoneAndHangs]);
    for _ in 0..3 {
        let started = tokio::time::Instant::now();
        let Ok(Outcome::Unknown { error }) = scene.call().await else { panic!("nobody knows") };
        assert!(error.contains("server `ledger`: there was no answer within 30s"), "{error}");
        assert_eq!(started.elapsed(), Duration::from_secs(30));
    }
    assert!(matches!(scene.call().await, Ok(Outcome::Answered(_))));
    assert_eq!(scene.script.connections(), 2);
}

#[tokio::test]
async fn a_changed_descriptor_gets_its_own_connection() {
    let scene = scene();
    scene.call().await.unwrap();
    let changed = Spec { timeout: Duration::from_secs(1), ..scene.server.spec.clone() };
    let server = scene.upstreams.server(&changed);
    server.connected().await.unwrap();
    assert_eq!(scene.script.connections(), 2);
    assert!(Arc::ptr_eq(&server, &scene.upstreams.server(&changed)));
}

#[tokio::test]
async fn an_abandoned_attempt_to_connect_is_taken_up_by_the_next_call() {
    let scene = scene();
    let (name, handshake) = ("mute".parse().unwrap(), Duration::from_millis(200));
    let at = At::Stdio { command: "/bin/cat".into(), args: Vec::new() };
    let server = scene.upstreams.server(&Spec { name, at, handshake, ..scene.server.spec.clone() });
    assert!(futures::poll!(Box::pin(server.connected())).is_pending());
    assert!(server.state().connecting.is_some());
    let why = server.connected().await.err().unwrap();
    assert!(why.contains("it did not finish the handshake within 200ms"), "{why}");
    assert!(server.state().connecting.is_none());
}

#[tokio::test]
async fn a_server_whose_secrets_are_missing_is_not_started() {
    let scene = scene();
    let name = "mail".parse().unwrap();
    let spec = Spec { name, secrets: vec!["MAIL_TOKEN".into(), "TOKEN".into()], ..scene.server.spec.clone() };
    let why = scene.upstreams.server(&spec).connected().await.err().unwrap();
    assert!(why.ends_with("it needs secrets that are not there: MAIL_TOKEN"), "{why}");
}
