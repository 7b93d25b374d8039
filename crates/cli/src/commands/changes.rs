//! `diff`, `rollback`, `revisions`, `withdraw`, and `approve` and `deny` of a change: how authority changes, where a
//! change waits, and what people say to it.

use domain::clock::Timestamp;
use domain::id::Name;
use serde_json::{Value, json};

use crate::args::{Format, Global, Rollback};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, ago, items, text};

/// Whether an id of the inbox is a change's.
pub(crate) fn is_change(id: &str) -> bool {
    id.starts_with("change-")
}

/// How authority changes, a line each.
pub(crate) fn lines(changes: &Value) -> Vec<String> {
    let line = |change: &Value| {
        let agents: Vec<&str> = items(&change["agents"]).iter().filter_map(Value::as_str).collect();
        let bears = match text(change, "of").as_str() {
            "Agent" => String::new(),
            _ if agents.is_empty() => "  (no agent uses it)".to_owned(),
            _ => format!("  (bears on {})", agents.join(", ")),
        };
        let what = format!("{} {}: {}", text(change, "of"), text(change, "name"), text(change, "text"));
        format!("{:8} {what}{bears}", text(change, "direction"))
    };
    items(changes).iter().map(line).collect()
}

/// Whose yes it takes, in words.
fn decided_by(needs: &Value) -> String {
    let each = items(needs).iter().map(|need| match need["quorum"].as_u64() {
        Some(0 | 1) | None => format!("a person of {}", text(need, "group")),
        Some(more) => format!("{more} people of {}", text(need, "group")),
    });
    each.collect::<Vec<_>>().join(" and ")
}

/// What to say where it takes more people than there are.
fn too_few(needs: &Value) {
    for need in items(needs) {
        let (people, quorum) = (need["people"].as_u64().unwrap_or(0), need["quorum"].as_u64().unwrap_or(1));
        if people < quorum {
            let group = text(need, "group");
            output::talk(&format!(
                "warning: it takes {quorum} of {group}, and there are {people} besides whoever proposes it: \
                 ostler person add NAME --group {group}"
            ));
        }
    }
}

/// Says how authority changed, and ends with 4 where it waits for a second person.
pub(crate) fn told(global: &Global, came: &Value, dry_run: bool) -> Outcome {
    if global.output == Format::Table {
        lines(&came["changes"]).iter().for_each(|line| output::talk(line));
    }
    let Some(waits) = came.get("waits") else { return Ok(()) };
    too_few(&waits["needs"]);
    let by = decided_by(&waits["needs"]);
    if dry_run {
        return Err(Failure::Waiting(format!("this would wait for {by}: it widens what is protected")));
    }
    let change = text(waits, "change");
    Err(Failure::Waiting(format!(
        "{change} waits for {by}; until then nothing changes\nnext: ostler approve {change} --as PERSON (see `ostler inbox`)"
    )))
}

/// Says how authority would change; nothing is recorded.
pub(crate) fn differs(global: &Global, came: &Value) -> Outcome {
    let words = |came: &Value| match lines(&came["changes"]) {
        lines if lines.is_empty() => "(no authority changes)".to_owned(),
        lines => lines.join("\n"),
    };
    output::print(global.output, came, words)?;
    let Some(waits) = came.get("waits") else { return Ok(()) };
    too_few(&waits["needs"]);
    let by = decided_by(&waits["needs"]);
    Err(Failure::Waiting(format!("this would wait for {by}: it widens what is protected")))
}

/// Goes back to a revision.
pub(crate) async fn rollback(global: &Global, rollback: &Rollback) -> Outcome {
    let Rollback { agent, to, reason, dry_run } = rollback;
    let client = Client::find(global)?;
    let body = json!({ "to": to, "reason": reason, "dry_run": dry_run });
    let came = client.post(&format!("/api/agents/{agent}/rollback"), body).await?;
    output::print(global.output, &came, |came| {
        let revision: String = text(&items(&came["applied"])[0], "revision").chars().take(12).collect();
        match (*dry_run, came.get("waits")) {
            (true, _) => format!("{agent} would go back to {revision}"),
            (false, None) => format!("{agent} is back at {revision}"),
            (false, Some(_)) => format!("{agent} goes back to {revision} once a second person says yes"),
        }
    })?;
    told(global, &came, *dry_run)
}

/// The revisions that an agent had, and what waits to become one.
pub(crate) async fn revisions(global: &Global, agent: &Name) -> Outcome {
    let client = Client::find(global)?;
    let found = client.get(&format!("/api/agents/{agent}/revisions")).await?;
    output::print(global.output, &found, |found| {
        let current = text(found, "current");
        let last = items(&found["revisions"]).len().saturating_sub(1);
        let rows = items(&found["revisions"]).iter().enumerate().map(|(index, row)| {
            let revision = text(row, "revision");
            let mark = if index == last && revision == current { "in force" } else { "" };
            let short = revision.chars().take(12).collect();
            vec![
                short,
                Timestamp(row["at"].as_i64().unwrap_or(0)).to_string(),
                text(row, "by"),
                text(row, "reason"),
                mark.to_owned(),
            ]
        });
        output::table(&["revision", "since", "by", "reason", ""], rows)
    })
}

/// A change that waits, as the inbox shows it.
pub(crate) fn block(item: &Value, now: i64) -> String {
    let of = |field: &str| text(item, field);
    let since = ago(now, item["since"].as_i64().unwrap_or(now));
    let mut all = vec![format!("{}  a change of authority, by {}, {since} ago", of("id"), of("by"))];
    if !of("reason").is_empty() {
        all.push(format!("    why       {}", of("reason")));
    }
    all.extend(lines(&item["changes"]).into_iter().map(|line| format!("    {line}")));
    let rehearsal = &item["rehearsal"];
    if rehearsal.is_object() {
        let of = |field: &str| rehearsal[field].to_string();
        all.push(format!(
            "    lately    {} of {} calls in {} sessions would have been decided otherwise",
            of("changed"),
            of("calls"),
            of("sessions")
        ));
        let differ = items(&rehearsal["differ"]).iter().take(5).map(|one| {
            let (call, before, after) = (text(one, "call"), text(one, "before"), text(one, "after"));
            format!("              {call} {}: {before} -> {after}", text(one, "capability"))
        });
        all.extend(differ);
    }
    let yes = items(&item["yes"]).iter().map(|vote| format!("    so far    {} said yes", text(vote, "person")));
    all.extend(yes);
    let until = item["expires"].as_i64().map(|until| ago(until, now)).unwrap_or_default();
    all.push(format!("    decides   {}; becomes a no in {until}", decided_by(&item["needs"])));
    all.push(format!("    next      {}", of("next")));
    all.join("\n")
}

/// Says yes to a change.
pub(crate) async fn approve(global: &Global, change: &str, reason: &str) -> Outcome {
    let said = answer(global, (change, "approve"), reason).await?;
    output::print(global.output, &said, |said| match text(said, "came").as_str() {
        "in_force" => format!("approved {change}: it is in force"),
        _ => format!("approved {change}: it takes {} more", said["more"]),
    })
}

/// Says no to one.
pub(crate) async fn deny(global: &Global, change: &str, reason: &str) -> Outcome {
    let said = answer(global, (change, "deny"), reason).await?;
    output::print(global.output, &said, |_| format!("rejected {change}"))
}

/// Takes one back.
pub(crate) async fn withdraw(global: &Global, change: &Name, reason: &str) -> Outcome {
    let said = answer(global, (change.as_str(), "withdraw"), reason).await?;
    output::print(global.output, &said, |_| format!("took back {change}"))
}

async fn answer(global: &Global, (change, verb): (&str, &str), reason: &str) -> Outcome<Value> {
    let client = Client::find(global)?;
    let name: Name = change.parse().map_err(|error| Failure::Usage(format!("{change} is no change: {error}")))?;
    client.post(&format!("/api/changes/{name}/{verb}"), json!({ "reason": reason })).await
}
