//! How is a running balancer asked from the shell? The one place where a verb makes a request. It judges no
//! answer beyond whether there is one; `wire` says where to and with which key.

use clap::Args;
use reqwest::{Client, Method};
use serde_json::Value;

use super::outcome::Failure;
use super::wire;
use crate::cause;
use crate::config::redact;

/// Where the balancer is.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Target {
    /// Base URL of the balancer; by default this machine at PORT. The key is read from CHROMA_HA_KEY or ADMIN_TOKEN.
    #[arg(long, value_name = "URL", global = true)]
    pub(super) url: Option<String>,
}

pub(super) struct Balancer {
    client: Client,
    base: String,
}

impl Balancer {
    pub(super) fn at(target: &Target) -> Result<Balancer, Failure> {
        Ok(Balancer { client: wire::client()?, base: wire::url(target.url.as_deref()) })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        parsed(&self.text(Method::GET, path, None).await?)
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        parsed(&self.text(Method::POST, path, Some(body)).await?)
    }

    /// The answer as it came.
    pub(super) async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Failure> {
        let mut request = wire::with_key(self.client.request(method, format!("{}{path}", self.base)));
        if let Some(body) = body {
            request = request.json(body);
        }
        let unanswered = |error: reqwest::Error| {
            let text = format!("no answer from {}: {}", redact(&self.base), cause::told(error));
            Failure::Unreachable(text)
        };
        let response = request.send().await.map_err(unanswered)?;
        let status = response.status();
        let text = response.text().await.map_err(unanswered)?;
        match status.as_u16() {
            200..300 => Ok(text),
            503 => Err(Failure::Later(format!("status {status}: {}", message(&text)))),
            _ => Err(Failure::Problem(format!("status {status}: {}", message(&text)))),
        }
    }
}

pub(super) fn parsed(text: &str) -> Result<Value, Failure> {
    let strange = |_| Failure::Problem("the answer is not JSON: is this chroma-ha?".to_owned());
    serde_json::from_str(text).map_err(strange)
}

/// The line that an error says.
fn message(text: &str) -> String {
    let said = serde_json::from_str::<Value>(text).ok();
    said.and_then(|value| Some(value.get("message")?.as_str()?.to_owned())).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_line() {
        assert_eq!(message(r#"{"error":"X","message":"what"}"#), "what");
        assert_eq!(message("plain"), "plain");
        assert!(parsed("<html>").is_err());
    }
}
