//! Do all nodes hold the same? Asks a running balancer to compare them, shows how far it is, and tells
//! every difference. It compares nothing itself.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::balancer::{Balancer, Target};
use super::outcome::{Failure, Outcome};
use crate::progress::Progress;

const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only this collection: its id or name.
    #[arg(long, value_name = "ID|NAME")]
    collection: Option<String>,
    /// Where a name is looked up.
    #[arg(long, default_value = "default_tenant")]
    tenant: String,
    /// Where a name is looked up.
    #[arg(long, default_value = "default_database")]
    database: String,
    /// Change nothing: only tell what differs.
    #[arg(long)]
    no_repair: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(options: Options) -> Outcome {
    let balancer = Balancer::at(&options.target)?;
    let mut body = json!({ "repair": !options.no_repair });
    if let Some(collection) = options.collection {
        body["collection"] = json!(collection);
        body["tenant"] = json!(options.tenant);
        body["database"] = json!(options.database);
    }
    let begun = balancer.post("/admin/verify", &body).await?;
    let total = begun["waiting"].as_u64().unwrap_or_default();
    let mut run = begun.clone();
    let mut progress = Progress::start();
    while run["state"] == "under way" && run["id"] == begun["id"] {
        let waiting = run["waiting"].as_u64().unwrap_or_default();
        let text = format!("{waiting} to compare, {} equal, {} differing", run["equal"], run["differing"]);
        progress.tell(total.saturating_sub(waiting), Some(total), &text);
        tokio::time::sleep(POLL).await;
        run = balancer.get("/admin/verify").await?;
    }
    drop(progress);
    if run["id"] != begun["id"] {
        let text = "the balancer was restarted before it was through; begin again";
        return Err(Failure::Later(text.to_owned()));
    }
    judged(&run).map_err(Failure::Problem)
}

/// A clean end without any difference is fine; everything else is to be looked at.
fn judged(run: &Value) -> Result<String, String> {
    let number = |field: &str| run[field].as_u64().unwrap_or_default();
    let mut lines = vec![format!(
        "{} compared and equal ({} records), {} differed, {} skipped, {} undecided",
        number("equal"),
        number("records"),
        number("differing"),
        number("skipped"),
        number("undecided")
    )];
    lines.extend(run["differences"].as_array().into_iter().flatten().map(difference));
    if let Some(reason) = run["undecided_reason"].as_str() {
        lines.push(format!("undecided: {reason}"));
    }
    if run["interrupted"] == true {
        lines.push("interrupted: another balancer took over; begin again".to_owned());
    }
    let text = lines.join("\n");
    if run["clean"] == true && number("differing") == 0 { Ok(text) } else { Err(text) }
}

fn difference(found: &Value) -> String {
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    let records: Vec<&str> =
        found["records"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let seen = found["seen"].as_u64().unwrap_or_default();
    let becomes = match found["repair"].as_str() {
        Some("equal") => "copied anew, now equal",
        Some("failed") => "copied anew, still different",
        Some("rebuilding") => "being copied anew",
        _ => "left as it is",
    };
    let (node, reference) = (text("node"), text("reference"));
    format!(
        "{} ({}) on {node} differs from {reference} in at least {seen} records ({}): {becomes}",
        text("name"),
        text("collection"),
        records.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_and_is_no_success() {
        let mut run = json!({ "equal": 3, "records": 12, "differing": 1, "clean": true, "differences": [{
            "node": "replica-1", "reference": "primary", "collection": "id", "name": "docs",
            "records": ["a", "b"], "seen": 2, "repair": "equal" }] });
        let text = judged(&run).unwrap_err();
        assert!(
            text.contains("docs (id) on replica-1 differs from primary in at least 2 records (a, b)"),
            "{text}"
        );
        run["differing"] = json!(0);
        run["differences"] = json!([]);
        assert!(judged(&run).is_ok());
        run["clean"] = json!(false);
        assert!(judged(&run).is_err());
    }
}
