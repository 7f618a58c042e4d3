//! One request of a client, and what became of it as far as the client can know.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::book::Hub;
use crate::harness::client::client;
use crate::harness::history::Outcome;

/// Between two tries of anything.
const PAUSE: Duration = Duration::from_millis(50);

/// A look at whether somebody is there.
const LOOK_IN: Duration = Duration::from_millis(700);

pub(super) enum Heard {
    Answer {
        status: u16,
        body: Value,
        logged: bool,
    },
    /// No connection: nothing was sent.
    NotSent,
    /// Sent, at least in part, and not answered.
    Nothing,
}

/// What was heard between two moments.
pub(super) struct Exchange {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) heard: Heard,
}

/// One request; with a key it may be sent again.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<&'a Value>,
    pub(super) patience: Duration,
    pub(super) key: Option<String>,
}

/// A client's way to the balancers: it stays with one until that one does not serve it.
pub(super) struct Wire {
    name: String,
    at: usize,
}

impl Wire {
    pub(super) fn new(name: String) -> Self {
        Self { name, at: 0 }
    }

    /// What has a key is sent again until it is judged, or until the end; what became of all tries is one
    /// outcome then.
    pub(super) async fn ask(&mut self, hub: &Hub, ask: &Ask<'_>) -> Exchange {
        let mut exchange = self.once(hub, ask).await;
        while ask.key.is_some() && hub.goes_on() && !exchange.is_judged() {
            hub.count("try", "again");
            let again = self.once(hub, ask).await;
            let never_sent = matches!(exchange.heard, Heard::NotSent);
            exchange.end = again.end;
            exchange.heard = match again.heard {
                Heard::NotSent if !never_sent => Heard::Nothing,
                Heard::Answer { status, logged: false, .. } if status >= 500 && !never_sent => Heard::Nothing,
                heard => heard,
            };
        }
        exchange
    }

    async fn once(&mut self, hub: &Hub, ask: &Ask<'_>) -> Exchange {
        let Ask { method, path, body, patience, key } = ask;
        let url = format!("{}{path}", hub.urls[self.at % hub.urls.len()]);
        let begin = hub.now();
        let mut request = client().request(method.clone(), &url).timeout(*patience);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let heard = heard(request).await;
        let end = hub.now();
        let shown = match &heard {
            Heard::Answer { status, body, logged } => {
                format!("{status}{} {body}", if *logged { " logged" } else { "" })
            }
            Heard::NotSent => "not sent".to_owned(),
            Heard::Nothing => "no answer".to_owned(),
        };
        let sent = body.map(Value::to_string).unwrap_or_default();
        hub.line(&format!(
            "{begin} {end} {} b{} {method} {path} {key:?} {sent} -> {shown}",
            self.name, self.at
        ));
        let exchange = Exchange { begin, end, heard };
        self.after(hub, &exchange).await;
        exchange
    }

    /// Who was not served waits until somebody answers at all, so that unanswered writes stay few.
    async fn after(&mut self, hub: &Hub, exchange: &Exchange) {
        match exchange.heard {
            Heard::Answer { status: 0..500, .. } => return,
            Heard::Answer { .. } => {
                self.at += 1;
                tokio::time::sleep(PAUSE).await;
                return;
            }
            Heard::NotSent | Heard::Nothing => {}
        }
        while hub.goes_on() {
            self.at += 1;
            let url = format!("{}/livez", hub.urls[self.at % hub.urls.len()]);
            if client().get(url).timeout(LOOK_IN).send().await.is_ok() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn heard(request: reqwest::RequestBuilder) -> Heard {
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(reason) if reason.is_connect() => return Heard::NotSent,
        Err(_) => return Heard::Nothing,
    };
    let status = answer.status().as_u16();
    let logged = answer.headers().contains_key("x-chroma-ha-write-id");
    // A cut body is a lost answer, although the status came.
    let Ok(text) = answer.text().await else { return Heard::Nothing };
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Heard::Answer { status, body, logged }
}

impl Exchange {
    /// `None`: it certainly did not reach anybody. `relayed`: who answers may have passed the request on,
    /// so that an answer without a verdict says nothing of what is still on its way.
    pub(super) fn outcome(&self, relayed: bool) -> Option<Outcome> {
        match &self.heard {
            Heard::Answer { status: 200..300, .. } => Some(Outcome::Acknowledged),
            Heard::Answer { status: 504, logged: true, .. } => Some(Outcome::Logged),
            // Nobody judged it.
            Heard::Answer { status: 408 | 429, .. } => Some(Outcome::Unanswered),
            Heard::Answer { status: 400..500, .. } => Some(Outcome::Refused),
            Heard::Answer { .. } if relayed => Some(Outcome::Unanswered),
            Heard::Answer { .. } => Some(Outcome::Undecided),
            Heard::Nothing => Some(Outcome::Unanswered),
            Heard::NotSent => None,
        }
    }

    fn is_judged(&self) -> bool {
        let unjudged = matches!(self.heard, Heard::Answer { status: 408 | 429, .. });
        !unjudged && matches!(self.heard, Heard::Answer { status: 200..500, .. })
    }

    pub(super) fn is(&self, wanted: u16) -> Option<&Value> {
        match &self.heard {
            Heard::Answer { status, body, .. } if *status == wanted => Some(body),
            _ => None,
        }
    }
}
