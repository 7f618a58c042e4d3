//! What may an operator tell a running balancer from the shell? Sends it to `/admin/*` with ADMIN_TOKEN
//! and prints the answer. It decides nothing: the balancer does, and keeps the audit.

use clap::{Args, Subcommand};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::columns;
use super::status::{PATIENCE, render};
use crate::cause;

/// Where the balancer is.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Base URL of the balancer; by default this machine at PORT.
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// Print the answer as it came.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeadLetters {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show them; without a verb the open ones are shown.
    List {
        /// open, resolved, discarded or all.
        #[arg(long, default_value = "open")]
        state: String,
    },
    /// Let the node try the entry again.
    Retry {
        /// As listed: replica-1:42.
        id: String,
    },
    /// Drop the letter: the collection waits to be copied to the node anew.
    Discard {
        /// As listed: replica-1:42.
        id: String,
        /// Let the node go on without the entry instead: it differs from the others from then on.
        #[arg(long)]
        accept_difference: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    #[command(flatten)]
    target: Target,
    /// The node as `status` names it: primary, replica-1, …
    node: String,
    /// Id or name of the collection.
    collection: String,
    /// The tenant of a name.
    #[arg(long)]
    tenant: Option<String>,
    /// The database of a name.
    #[arg(long)]
    database: Option<String>,
}

pub(super) async fn dead_letters(asked: DeadLetters) -> Result<String, String> {
    let open = Verb::List { state: "open".to_owned() };
    match asked.verb.unwrap_or(open) {
        Verb::List { state } => {
            let path = format!("/admin/dead-letters?state={state}&limit=1000");
            let text = ask(&asked.target, Method::GET, &path, None).await?;
            if asked.target.json { Ok(text) } else { listed(&text) }
        }
        Verb::Retry { id } => act(&asked.target, &format!("/admin/dead-letters/{id}/retry"), json!({})).await,
        Verb::Discard { id, accept_difference } => {
            let body = json!({ "accept_difference": accept_difference });
            act(&asked.target, &format!("/admin/dead-letters/{id}/discard"), body).await
        }
    }
}

pub(super) async fn rebuild(asked: Rebuild) -> Result<String, String> {
    let mut body = json!({ "node": asked.node, "collection": asked.collection });
    for (name, value) in [("tenant", asked.tenant), ("database", asked.database)] {
        if let Some(value) = value {
            body[name] = Value::String(value);
        }
    }
    act(&asked.target, "/admin/rebuild", body).await
}

async fn act(target: &Target, path: &str, body: Value) -> Result<String, String> {
    let text = ask(target, Method::POST, path, Some(body)).await?;
    if target.json {
        return Ok(text);
    }
    let answer: Value =
        serde_json::from_str(&text).map_err(|_| "the answer is not JSON: is this chroma-ha?".to_owned())?;
    Ok(render(&answer))
}

async fn ask(target: &Target, method: Method, path: &str, body: Option<Value>) -> Result<String, String> {
    let base = target.url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{}", super::port()));
    let client =
        Client::builder().timeout(PATIENCE).build().map_err(|error| format!("no client: {error}"))?;
    let mut request = client.request(method, format!("{}{path}", base.trim_end_matches('/')));
    if let Ok(key) = std::env::var("ADMIN_TOKEN") {
        request = request.header("x-chroma-ha-admin-token", key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let failed = |error: reqwest::Error| {
        format!("no answer from {}: {}", crate::config::redact(&base), cause::told(error))
    };
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let text = response.text().await.map_err(failed)?;
    if status.is_success() { Ok(text) } else { Err(format!("status {status}: {}", message(&text))) }
}

/// The line that an error says.
fn message(text: &str) -> String {
    let said = serde_json::from_str::<Value>(text).ok();
    said.and_then(|value| Some(value.get("message")?.as_str()?.to_owned())).unwrap_or_else(|| text.to_owned())
}

fn listed(text: &str) -> Result<String, String> {
    let page: Value = serde_json::from_str(text).map_err(|_| "the answer is not JSON: is this chroma-ha?")?;
    let rows = page["dead_letters"].as_array().ok_or("the answer has no dead letters: is this chroma-ha?")?;
    if rows.is_empty() {
        return Ok("no dead letters".to_owned());
    }
    let names = ["id", "state", "op", "collection", "attempts", "at", "reason"];
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |row: &Value| names.iter().map(|name| cell(&row[*name])).collect::<Vec<_>>();
    let head = names.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    Ok(columns::align(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_a_table_and_errors_a_line() {
        let page = r#"{"dead_letters":[{"id":"replica-1:4","state":"open","op":"add","collection":null,
            "attempts":3,"at":"now","reason":"400 no"}],"next_before":null}"#;
        let text = "id           state  op   collection  attempts  at   reason\n\
                    replica-1:4  open   add  -           3         now  400 no";
        assert_eq!(listed(page).unwrap(), text);
        assert_eq!(listed(r#"{"dead_letters":[]}"#).unwrap(), "no dead letters");
        assert!(listed("[]").is_err());
        assert_eq!(message(r#"{"error":"X","message":"what"}"#), "what");
        assert_eq!(message("plain"), "plain");
    }
}
