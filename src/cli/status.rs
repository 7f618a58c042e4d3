//! What does a running balancer say about itself? Fetches `/status` and lays it out for a person. It
//! knows no field by name, so that it never lags behind the answer.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Map, Value};

use super::columns;
use crate::cause;

pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Fields that name a row, shown first.
const LEADING: [&str; 4] = ["name", "node", "role", "state"];

pub(super) async fn run(url: Option<String>, json: bool) -> Result<String, String> {
    let base = url.unwrap_or_else(|| format!("http://127.0.0.1:{}", super::port()));
    let text = fetch(&format!("{}/status", base.trim_end_matches('/'))).await?;
    if json {
        return Ok(text);
    }
    let value = serde_json::from_str(&text).map_err(|_| "the answer is not JSON: is this chroma-ha?")?;
    Ok(render(&value))
}

async fn fetch(url: &str) -> Result<String, String> {
    let client =
        Client::builder().timeout(PATIENCE).build().map_err(|error| format!("no client: {error}"))?;
    let failed = |error: reqwest::Error| {
        format!("no answer from {}: {}", crate::config::redact(url), cause::told(error))
    };
    let response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    let text = response.text().await.map_err(failed)?;
    if status.is_success() { Ok(text) } else { Err(format!("status {status}: {text}")) }
}

/// Plain fields first, then a section for each object and list.
pub(super) fn render(value: &Value) -> String {
    let Value::Object(fields) = value else { return cell(value) };
    let (nested, plain): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, value)| is_nested(value));
    let facts: Map<String, Value> =
        plain.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let sections =
        nested.into_iter().map(|(name, value)| format!("\n\n{name}\n{}", indented(&section(value))));
    pairs(&facts) + &sections.collect::<String>()
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Object(_)) || matches!(value, Value::Array(rows) if !rows.is_empty())
}

fn section(value: &Value) -> String {
    match value {
        Value::Object(fields) => pairs(fields),
        Value::Array(rows) => table(rows),
        plain => cell(plain),
    }
}

fn pairs(fields: &Map<String, Value>) -> String {
    let rows: Vec<Vec<String>> = fields.iter().map(|(name, value)| vec![name.clone(), cell(value)]).collect();
    columns::align(&rows)
}

/// One line a row, one column a field of the first row.
fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else {
        return rows.iter().map(cell).collect::<Vec<_>>().join("\n");
    };
    let leading = LEADING.iter().copied().filter(|name| first.contains_key(*name));
    let others = first.keys().map(String::as_str).filter(|name| !LEADING.contains(name));
    let names: Vec<&str> = leading.chain(others).collect();
    let line = |row: &Value| names.iter().map(|name| row.get(name).map(cell).unwrap_or_default()).collect();
    let head = names.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    columns::align(&lines)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let facts: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect();
            facts.join(" ")
        }
        other => other.to_string(),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_like_a_page() {
        let value = serde_json::json!({
            "service": "chroma-ha",
            "role": "holder",
            "alerts": [],
            "write_ahead_log": {"pending_writes": 3, "database": "PostgreSQL"},
            "nodes": [
                {"lag_entries": 0, "name": "primary", "state": "up"},
                {"lag_entries": 12, "name": "replica-1", "state": "catching-up", "p99_ms": 3},
            ],
        });
        assert_eq!(
            render(&value),
            "alerts   []\nrole     holder\nservice  chroma-ha\n\nnodes\n  \
             name       state        lag_entries\n  \
             primary    up           0\n  \
             replica-1  catching-up  12\n\nwrite_ahead_log\n  \
             database        PostgreSQL\n  pending_writes  3"
        );
    }
}
