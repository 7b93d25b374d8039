//! A thousand clients at once, against a budget for a hundred: nothing is overspent, and what may be spent is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::attached::{Place, hello, steps};
use crate::http;

/// How many ask at once, of how many sessions.
const CLIENTS: usize = 1_000;
const SESSIONS: usize = 50;
/// How many of them the budget is for.
const FOR: i64 = 100;

fn asked() -> Value {
    let mut body = hello(&["Hi"]);
    body["stream"] = json!(true);
    body
}

/// What one call holds of money.
async fn worst(place: &Place) -> i64 {
    place.message("measure", asked()).await;
    let trace = place.trace("measure").await;
    let holds = steps(&trace, "model")[0]["attempts"][0]["intent"]["worst"]["usd_micros"].as_i64();
    holds.unwrap_or_else(|| panic!("{trace}"))
}

#[tokio::test]
async fn a_thousand_calls_at_once_spend_a_budget_for_a_hundred_to_its_end_and_no_further() {
    let place = Arc::new(Place::of("guest").await);
    // An answer that breaks off is possibly billed: settled at its worst case.
    place.model.break_off(true);
    let worst = worst(&place).await;
    let limit = worst * FOR;
    let caps = json!({"whose": "guest", "caps": {"usd_per_day": limit as f64 / 1e6}});
    place.stage.post("/api/budgets/set", caps).await.ok();
    let before = place.model.raw().len();
    let (refused, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..CLIENTS).map(|number| {
        let (place, refused, sent) = (place.clone(), refused.clone(), sent.clone());
        tokio::spawn(async move {
            let session = format!("s{}", number % SESSIONS);
            let headers = [("x-api-key", place.key.as_str()), ("ostler-session", session.as_str())];
            loop {
                let reply = http::try_ask(&place.stage.host, "/v1/messages", &headers, &asked().to_string()).await;
                let reply = reply.expect("no connection is lost, however many come at once");
                match reply.status {
                    // Tied up by calls in flight, or too many at once: it may come back.
                    429 => assert!(reply.header("retry-after").is_some(), "{reply:?}"),
                    402 => break refused.fetch_add(1, Ordering::SeqCst),
                    _ => break sent.fetch_add(1, Ordering::SeqCst),
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let budgets = place.stage.get("/api/budgets?of=agent/guest").await.ok();
    let money = budgets.as_array().unwrap().iter().find(|budget| budget["meter"] == "usd_micros").unwrap().clone();
    let (cap, spent, held) = (&money["cap"], money["spent"].as_i64().unwrap(), money["held"].as_i64().unwrap());
    assert_eq!((cap.as_i64().unwrap(), held), (limit, 0), "{money}");
    assert!(spent <= limit, "overspent: {money}");
    assert!(spent >= limit - worst, "within one worst case ({worst}) of the limit: {money}");
    let (refused, sent) = (refused.load(Ordering::SeqCst), sent.load(Ordering::SeqCst));
    assert_eq!((refused + sent, place.model.raw().len() - before), (CLIENTS, FOR as usize), "{sent} sent");
}
