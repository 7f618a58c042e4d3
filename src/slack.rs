//! How does an alert reach Slack? Built with `slack-hook`, sent with patience: 429, 5xx and lost
//! connections are tried again. It does not choose what is sent (`core::alert` does), and the webhook's
//! URL, which is a secret, is in none of its errors.

use std::time::{Duration, SystemTime};

use chroma_ha_core::alert::Alert;
use chroma_ha_core::backoff::{Backoff, BackoffError};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};

use crate::config::Secret;

mod message;
#[cfg(test)]
mod tests;

/// Longest wait that Slack may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an alert did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum SlackError {
    /// The message could not be built: a defect.
    #[error("the message could not be built: {0}")]
    Message(String),
    /// Slack does not want it, and would not want it later: a wrong or revoked webhook.
    #[error("Slack refused the message with status {0}")]
    Refused(u16),
    /// Every attempt failed.
    #[error("gave up after {attempts} attempts: {last}")]
    Exhausted { attempts: u32, last: String },
    /// The retry schedule makes no sense.
    #[error(transparent)]
    Schedule(#[from] BackoffError),
}

/// Sends alerts to one incoming webhook.
#[derive(Clone, Debug)]
pub struct Slack {
    webhook: Secret,
    service: String,
    client: Client,
    backoff: Backoff,
    attempts: u32,
}

/// What one attempt came to.
enum Attempt {
    Delivered,
    /// Try again, not sooner than after this time.
    Again {
        not_before: Duration,
        cause: String,
    },
    Refused(u16),
}

impl Slack {
    /// Six attempts within about a minute. The client belongs to the runtime that first uses it.
    pub fn new(webhook: Secret, service: &str, client: Client) -> Result<Slack, SlackError> {
        let backoff = Backoff::try_new(Duration::from_secs(1), 2, Duration::from_secs(30))?;
        Ok(Slack { webhook, service: service.to_owned(), client, backoff, attempts: 6 })
    }

    /// Another schedule.
    pub fn with_retries(self, backoff: Backoff, attempts: u32) -> Slack {
        Slack { backoff, attempts, ..self }
    }

    /// Returns when Slack has the alert, or when it is given up.
    pub async fn send(&self, alert: &Alert) -> Result<(), SlackError> {
        let payload = message::payload(alert, &self.service)
            .and_then(|payload| serde_json::to_vec(&payload).map_err(slack_hook::Error::from))
            .map_err(|error| SlackError::Message(error.to_string()))?;
        let mut last = String::new();
        for attempt in 0..self.attempts {
            match self.attempt(payload.clone()).await {
                Attempt::Delivered => return Ok(()),
                Attempt::Refused(status) => return Err(SlackError::Refused(status)),
                Attempt::Again { not_before, cause } => {
                    last = cause;
                    if attempt + 1 < self.attempts {
                        actix_rt::time::sleep(self.backoff.delay(attempt, jitter()).max(not_before)).await;
                    }
                }
            }
        }
        Err(SlackError::Exhausted { attempts: self.attempts, last })
    }

    /// `slack_hook::Slack::send` keeps neither status nor headers, and `Retry-After` is needed here: so
    /// the payload is slack-hook's and the request our own.
    async fn attempt(&self, payload: Vec<u8>) -> Attempt {
        let request = self.client.post(self.webhook.expose()).timeout(ANSWER_TIMEOUT);
        match request.header("content-type", "application/json").body(payload).send().await {
            Ok(response) => judge(&response),
            Err(error) if error.is_builder() => Attempt::Refused(0),
            Err(error) => {
                Attempt::Again { not_before: Duration::ZERO, cause: error.without_url().to_string() }
            }
        }
    }
}

fn judge(response: &Response) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Delivered;
    }
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return Attempt::Refused(status.as_u16());
    }
    let asked =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let not_before = Duration::from_secs(asked.unwrap_or(0)).min(LONGEST_WAIT);
    Attempt::Again { not_before, cause: format!("status {}", status.as_u16()) }
}

/// Chance enough to keep several balancers from retrying in step.
fn jitter() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    f64::from(since.subsec_micros() % 1000) / 1000.0
}
