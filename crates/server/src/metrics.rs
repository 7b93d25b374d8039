//! `/metrics`: counts for Prometheus, in its text format (version 0.0.4). It needs a key, like everything that says
//! what goes on here.

use std::fmt::{Display, Write};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use data::rows::InboxKey;
use domain::session::Phase;

use crate::app::App;
use crate::auth::Who;
use crate::error::ApiResult;

const PHASES: [Phase; 6] =
    [Phase::Ready, Phase::Running, Phase::Suspended, Phase::Finished, Phase::Failed, Phase::Killed];

/// `/metrics`.
pub(crate) async fn show(State(app): State<App>, _: Who) -> ApiResult<Response> {
    let counts = app.log.counts().await?;
    let inbox = app.log.inbox().await?;
    let registry = app.gate.registry();
    let in_phase = |phase: &Phase| -> u64 {
        counts.iter().filter(|count| count.phase == *phase).map(|count| count.sessions).sum()
    };
    let in_doubt = inbox.iter().filter(|item| matches!(item.key, InboxKey::InDoubt { .. })).count();
    let ready = registry.agents().filter(|(name, _)| app.gate.ready(name).iter().all(|condition| condition.ok)).count();

    let mut page = Page::default();
    page.add("ostler_sessions", "gauge", "Sessions by phase.");
    PHASES.iter().for_each(|phase| page.sample("ostler_sessions", Some(("phase", phase)), in_phase(phase)));
    page.add("ostler_sessions_awake", "gauge", "Sessions in memory.");
    page.sample("ostler_sessions_awake", NO_LABEL, app.runtime.awake().len());
    page.add("ostler_bound", "gauge", "How much of each named bound is in use; without an agent, of the node.");
    let gauges = app.runtime.gauges();
    gauges.iter().for_each(|gauge| page.bound("ostler_bound", gauge, gauge.now));
    page.add("ostler_bound_limit", "gauge", "How much of each named bound there is.");
    gauges.iter().for_each(|gauge| page.bound("ostler_bound_limit", gauge, gauge.limit));
    let (fired, skipped) = (app.runtime.triggers().fired(), app.runtime.triggers().skipped());
    page.add("ostler_schedules_total", "counter", "Schedules that fell due since start, by what came of it.");
    page.sample("ostler_schedules_total", Some(("came", "started")), fired);
    page.sample("ostler_schedules_total", Some(("came", "skipped")), skipped);
    page.add("ostler_inbox_items", "gauge", "What waits for people: consent to a call, or word of a write in doubt.");
    page.sample("ostler_inbox_items", Some(("item", "approval")), inbox.len() - in_doubt);
    page.sample("ostler_inbox_items", Some(("item", "in_doubt")), in_doubt);
    let failing = app.webhooks.statuses.failing(registry.channels().map(|(_, entry)| entry.pos));
    page.add("ostler_channels", "gauge", "Channels of people, by whether the last try to tell them was taken.");
    page.sample("ostler_channels", Some(("state", "ok")), registry.channels().count() - failing);
    page.sample("ostler_channels", Some(("state", "failing")), failing);
    let outage = app.log.outage();
    page.add("ostler_log_outage", "gauge", "1 while the store takes nothing: it has no room, or does not answer.");
    page.sample("ostler_log_outage", NO_LABEL, u8::from(outage.is_some()));
    page.add("ostler_log_waiting", "gauge", "Sessions that hold what they did in memory until the store takes it.");
    page.sample("ostler_log_waiting", NO_LABEL, outage.map_or(0, |outage| outage.sessions.len()));
    page.add("ostler_log_refusals_total", "counter", "Writes that the store refused since start.");
    page.sample("ostler_log_refusals_total", NO_LABEL, app.log.refusals());
    page.add("ostler_commits_total", "counter", "Records committed, by shard.");
    for (shard, pos) in app.log.positions() {
        page.sample("ostler_commits_total", Some(("shard", shard.0)), pos);
    }
    page.sample("ostler_commits_total", Some(("shard", "control")), app.log.control_pos());
    page.add("ostler_agents", "gauge", "Agents, by whether they can run.");
    page.sample("ostler_agents", Some(("ready", "true")), ready);
    page.sample("ostler_agents", Some(("ready", "false")), registry.agents().count() - ready);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.0).into_response())
}

const NO_LABEL: Option<(&str, &str)> = None;

/// Lines of the exposition format. Labels here are words of ours: they need no escaping.
#[derive(Default)]
struct Page(String);

impl Page {
    fn add(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, impl Display)>, value: impl Display) {
        let label = label.map(|(name, is)| format!("{{{name}=\"{is}\"}}")).unwrap_or_default();
        let _ = writeln!(self.0, "{name}{label} {value}");
    }

    fn bound(&mut self, name: &str, gauge: &execution::Gauge, value: u64) {
        let of = if gauge.agent.is_empty() { String::new() } else { format!(",agent=\"{}\"", gauge.agent) };
        let _ = writeln!(self.0, "{name}{{bound=\"{}\"{of}}} {value}", gauge.bound);
    }
}

#[cfg(test)]
mod tests {
    use super::{NO_LABEL, Page};

    #[test]
    fn a_metric_is_its_help_its_kind_and_its_samples() {
        let mut page = Page::default();
        page.add("ostler_things", "gauge", "Things.");
        page.sample("ostler_things", Some(("kind", "good")), 3);
        page.sample("ostler_things", NO_LABEL, 4);
        let of_node = execution::Gauge { bound: "awake", agent: String::new(), now: 3, limit: 256 };
        page.bound("ostler_bound", &of_node, of_node.now);
        page.bound("ostler_bound", &execution::Gauge { agent: "clerk".to_owned(), ..of_node.clone() }, of_node.limit);
        let expected = "# HELP ostler_things Things.\n# TYPE ostler_things gauge\n\
                        ostler_things{kind=\"good\"} 3\nostler_things 4\n\
                        ostler_bound{bound=\"awake\"} 3\nostler_bound{bound=\"awake\",agent=\"clerk\"} 256\n";
        assert_eq!(page.0, expected);
    }
}
