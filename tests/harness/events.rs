//! A stream of server-sent events, one event after the other. It judges nothing.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::client::client;

/// Longer than any pause of a stream that lives.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Events {
    answer: Response,
    buffer: Vec<u8>,
}

/// One event: its name and its data.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Events {
    /// The status instead, if it is another than 200.
    pub(crate) async fn open(url: &str) -> Result<Self, Response> {
        let answer = client().get(url).send().await.expect("an answer");
        if answer.status() == 200 { Ok(Self { answer, buffer: Vec::new() }) } else { Err(answer) }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// None when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let text: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(event(&String::from_utf8(text).expect("UTF-8")));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("the stream was silent for {PATIENCE:?}"));
            self.buffer.extend_from_slice(&chunk.ok().flatten()?);
        }
    }
}

fn event(text: &str) -> Event {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        lines.next().unwrap_or_default().to_owned()
    };
    let data = serde_json::from_str(&field("data")).unwrap_or_else(|reason| panic!("{reason}: {text}"));
    Event { name: field("event"), data }
}
