//! `audit verify`: are the log's proofs whole?

use serde_json::Value;

use crate::args::Global;
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items, text};

/// Checks every record, chain, tree and signature. Fails if anything does not hold.
pub(crate) async fn verify(global: &Global) -> Outcome {
    let client = Client::find(global)?;
    let report = client.get("/api/audit/verify").await?;
    output::print(global.output, &report, words)?;
    if report["ok"] == true {
        Ok(())
    } else {
        Err(Failure::Failed(anyhow::anyhow!(
            "the log does not verify: keep the data directory as it is, and compare it with a backup"
        )))
    }
}

fn words(report: &Value) -> String {
    let mut out = String::new();
    for shard in items(&report["shards"]) {
        let name =
            if shard["shard"] == 65_535 { "control".to_owned() } else { format!("shard {}", text(shard, "shard")) };
        out.push_str(&format!(
            "{name:<9} {} records, root {}, {} checkpoints verified, signed up to {}\n",
            text(shard, "records"),
            text(shard, "root").chars().take(16).collect::<String>(),
            text(shard, "checkpoints"),
            text(shard, "signed_to"),
        ));
    }
    for problem in items(&report["problems"]) {
        let of = |field: &str| text(problem, field);
        out.push_str(&format!(
            "PROBLEM   shard {}, position {} {}: {}\n",
            of("shard"),
            of("pos"),
            of("session"),
            of("what")
        ));
    }
    for limit in items(&report["not_checked"]) {
        out.push_str(&format!("note      {}\n", limit.as_str().unwrap_or_default()));
    }
    out.push_str(&format!("key       {}\n", text(report, "verifier")));
    out.push_str(if report["ok"] == true { "everything holds" } else { "IT DOES NOT HOLD" });
    out
}
