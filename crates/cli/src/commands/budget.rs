//! `budget`: what agents, owner groups and sessions may spend, what of it is left, and the most that can be spent today.

use serde_json::{Map, Value, json};

use crate::args::{Budget, Global, Topup};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, dollars, items, text};

/// `budget show`, `set`, `topup`, `prove`.
pub(crate) async fn budget(global: &Global, budget: Budget) -> Outcome {
    let client = Client::find(global)?;
    match budget {
        Budget::Show { whose } => {
            let of = whose.map(|whose| format!("?of={whose}")).unwrap_or_default();
            output::print(global.output, &client.get(&format!("/api/budgets{of}")).await?, table)
        }
        Budget::Set { whose, caps, timezone } => {
            let caps: Map<String, Value> = caps.into_iter().map(|(cap, amount)| (cap, json!(amount))).collect();
            let mut body = json!({ "whose": whose, "caps": caps });
            if let Some(timezone) = timezone {
                body["timezone"] = json!(timezone);
            }
            output::print(global.output, &client.post("/api/budgets/set", body).await?, table)
        }
        Budget::Topup(topup) => add(global, &client, topup).await,
        Budget::Prove => prove(global, &client).await,
    }
}

async fn add(global: &Global, client: &Client, topup: Topup) -> Outcome {
    let (what, amount) = topup.what.said();
    let mut body = json!({ "whose": topup.whose, "what": what, "amount": amount, "reason": topup.reason });
    if let Some(per) = topup.per {
        body["per"] = json!(per.as_str());
    }
    output::print(global.output, &client.post("/api/budgets/topup", body).await?, table)
}

async fn prove(global: &Global, client: &Client) -> Outcome {
    let proof = client.get("/api/budgets/proof").await?;
    output::print(global.output, &proof, proven)?;
    let unbounded: Vec<&str> = items(&proof["unbounded"]).iter().filter_map(Value::as_str).collect();
    if unbounded.is_empty() {
        return Ok(());
    }
    let names = unbounded.join(", ");
    let next =
        format!("set usd_per_day under spec.budgets, or type `ostler budget set {} usd_per_day=5`", unbounded[0]);
    Err(Failure::Failed(anyhow::anyhow!("nothing bounds what {names} can spend today; {next}")))
}

fn proven(proof: &Value) -> String {
    let still = |row: &Value| match row["still_usd_micros"].is_null() {
        true => "no bound".to_owned(),
        false => dollars(&row["still_usd_micros"]),
    };
    let most = match proof["most_usd_micros"].is_null() {
        true => "There is no most that this fleet can spend today: something bounds nothing.".to_owned(),
        false => format!("At most {} can be spent today.", dollars(&proof["most_usd_micros"])),
    };
    let owners = items(&proof["owners"]).iter().map(|row| {
        let name = format!("owner/{}", text(row, "owner"));
        vec![name, dollars(&row["spent_usd_micros"]), String::new(), still(row), text(row, "why")]
    });
    let agents = items(&proof["agents"]).iter().map(|row| {
        let (spent, held) = (dollars(&row["spent_usd_micros"]), dollars(&row["held_usd_micros"]));
        vec![text(row, "agent"), spent, held, still(row), text(row, "why")]
    });
    // What is unbounded comes first: it is what to look at.
    let mut rows: Vec<Vec<String>> = agents.chain(owners).collect();
    rows.sort_by_key(|row| row[3] != "no bound");
    format!("{most}\n\n{}", output::table(&["whose", "spent", "held", "still", "because of"], rows))
}

fn table(budgets: &Value) -> String {
    let rows = items(budgets).iter().map(|row| {
        let meter = text(row, "meter");
        let amount = |field: &str| match meter.as_str() {
            "usd_micros" => dollars(&row[field]),
            "compute_ms" => format!("{:.1} min", row[field].as_i64().unwrap_or(0) as f64 / 60_000.0),
            _ => text(row, field),
        };
        let added: Vec<String> = items(&row["added"])
            .iter()
            .map(|one| {
                let much = if meter == "usd_micros" { dollars(&one["amount"]) } else { text(one, "amount") };
                format!("+{much} by {}: {}", text(one, "by"), text(one, "reason"))
            })
            .collect();
        let what = match meter.as_str() {
            "usd_micros" => "usd".to_owned(),
            "compute_ms" => "compute_minutes".to_owned(),
            other => other.to_owned(),
        };
        let name = format!("{what}_per_{}", text(row, "per"));
        let whose = text(row, "subject");
        vec![whose, name, amount("cap"), amount("spent"), amount("held"), amount("left"), added.join("; ")]
    });
    output::table(&["whose", "budget", "cap", "spent", "held", "left", "added"], rows)
}
