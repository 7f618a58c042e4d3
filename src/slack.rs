//! How does an alert reach Slack? Built with `slack-hook`, sent once, and the answer judged: taken, refused for
//! good, or to be tried again and not before when. It does not choose what is sent, nor when again
//! (`core::alert` does), and the webhook's URL, which is a secret, is in none of its errors.

use std::time::Duration;

use chroma_ha_core::alert::Alert;
use chroma_ha_core::alert::outbox::Undelivered;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use crate::cause;
use crate::config::Secret;

mod message;
#[cfg(test)]
mod tests;

/// Longest wait that Slack may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer's text, in characters.
const SHOWN: usize = 200;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SlackError {
    #[error("the HTTP client for Slack cannot be set up: {0}")]
    Client(String),
}

/// Sends alerts to one incoming webhook.
#[derive(Clone, Debug)]
pub struct Slack {
    webhook: Secret,
    service: String,
    client: Client,
}

/// What Slack said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// One line, without the webhook.
    pub text: String,
    not_before: Duration,
}

impl Slack {
    /// No connection is kept, so that whichever runtime sends may do so. Nor is a redirect followed: it would
    /// carry the secret elsewhere.
    pub fn try_new(webhook: Secret, service: &str) -> Result<Slack, SlackError> {
        let client =
            Client::builder().pool_max_idle_per_host(0).redirect(Policy::none()).timeout(ANSWER_TIMEOUT);
        let client = client.build().map_err(|error| SlackError::Client(error.without_url().to_string()))?;
        Ok(Slack { webhook, service: service.to_owned(), client })
    }

    /// One attempt.
    pub async fn send(&self, alert: &Alert) -> Result<(), Undelivered> {
        let answer = self.post(alert).await?;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let cause = format!("Slack answered {} {}", answer.status, answer.text).trim_end().to_owned();
        if status.is_success() {
            Ok(())
        } else if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            || status.is_server_error()
        {
            Err(Undelivered::Later { not_before: answer.not_before, cause })
        } else {
            Err(Undelivered::Refused(cause))
        }
    }

    /// What Slack answers. `slack_hook::Slack::send` keeps neither status nor headers, and `Retry-After` is
    /// needed here: so the payload is slack-hook's and the request our own.
    pub async fn post(&self, alert: &Alert) -> Result<Answer, Undelivered> {
        let unbuilt = |error: slack_hook::Error| {
            Undelivered::Refused(format!("the message could not be built: {error}"))
        };
        let payload = message::payload(alert, &self.service).map_err(unbuilt)?;
        let request = self.client.post(self.webhook.expose()).json(&payload);
        match request.send().await {
            Ok(response) => Ok(self.answer(response).await),
            Err(error) if error.is_builder() => Err(Undelivered::Refused("the webhook is no URL".to_owned())),
            Err(error) => {
                let cause = format!("no answer from Slack: {}", cause::told(error));
                Err(Undelivered::Later { not_before: Duration::ZERO, cause })
            }
        }
    }

    async fn answer(&self, mut response: Response) -> Answer {
        let status = response.status().as_u16();
        let asked =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let not_before = Duration::from_secs(asked.unwrap_or(0)).min(LONGEST_WAIT);
        // Whoever answers may be somebody else, and at length.
        let text = response.chunk().await.ok().flatten().unwrap_or_default();
        Answer { status, text: self.shown(&String::from_utf8_lossy(&text)), not_before }
    }

    /// One short line; an answer may quote what it was asked.
    fn shown(&self, text: &str) -> String {
        let secret = self.webhook.expose();
        let path =
            secret.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let mut text = text.replace(secret, "***");
        for part in [path].into_iter().chain(path.split('/')).filter(|part| part.len() > 3) {
            text = text.replace(part, "***");
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
    }
}
