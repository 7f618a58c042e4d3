//! Do all nodes hold the same? Asks a running balancer to compare them, shows how far it is, and tells
//! every difference. It compares nothing itself.

use std::time::Duration;

use clap::Args;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::cause;

const PATIENCE: Duration = Duration::from_secs(10);
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
    /// Base URL of the balancer; by default this machine at PORT. The key is read from ADMIN_TOKEN.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) async fn run(options: Options) -> Result<String, String> {
    let balancer = Balancer::new(options.url)?;
    let mut body = json!({ "repair": !options.no_repair });
    if let Some(collection) = options.collection {
        body["collection"] = json!(collection);
        body["tenant"] = json!(options.tenant);
        body["database"] = json!(options.database);
    }
    let begun = balancer.ask(Method::POST, Some(&body)).await?;
    let mut run = begun.clone();
    let mut told = u64::MAX;
    while run["state"] == "under way" && run["id"] == begun["id"] {
        let waiting = run["waiting"].as_u64().unwrap_or_default();
        if waiting != told {
            eprintln!("{waiting} to compare, {} equal, {} differing", run["equal"], run["differing"]);
            told = waiting;
        }
        tokio::time::sleep(POLL).await;
        run = balancer.ask(Method::GET, None).await?;
    }
    if run["id"] != begun["id"] {
        return Err("the balancer was restarted before it was through; begin again".to_owned());
    }
    judged(&run)
}

struct Balancer {
    client: Client,
    url: String,
    key: Option<String>,
}

impl Balancer {
    fn new(url: Option<String>) -> Result<Balancer, String> {
        let base = url.unwrap_or_else(|| format!("http://127.0.0.1:{}", super::port()));
        let client = Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| format!("no client: {error}"))?;
        let key = std::env::var("ADMIN_TOKEN").ok().filter(|key| !key.is_empty());
        Ok(Balancer { client, url: format!("{}/admin/verify", base.trim_end_matches('/')), key })
    }

    async fn ask(&self, method: Method, body: Option<&Value>) -> Result<Value, String> {
        let mut request = self.client.request(method, &self.url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let url = crate::config::redact(&self.url);
        let failed = |error: reqwest::Error| format!("no answer from {url}: {}", cause::told(error));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        let answer: Value = serde_json::from_str(&text)
            .map_err(|_| "the answer is not JSON: is this chroma-ha?".to_owned())?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(answer["message"].as_str().map_or_else(|| format!("status {status}: {text}"), str::to_owned))
    }
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
