//! What would people have read? A web server that stands for Slack: it keeps every message that it takes, in
//! order, and fails first if it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Part of the webhook's URL; nobody but Slack may see it.
pub(crate) const SECRET: &str = "T024hunter2";

/// What a message meets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// An answer with this status and, above zero, a `Retry-After` in seconds.
    Status(u16, u64),
    /// The connection closes without an answer.
    Closes,
    /// No answer at all.
    Hangs,
}

#[derive(Default)]
struct Kept {
    mishaps: VecDeque<Mishap>,
    messages: Vec<String>,
    /// Messages that met a mishap, or not.
    attempts: usize,
}

pub(crate) struct Webhook {
    port: u16,
    kept: Arc<Mutex<Kept>>,
}

impl Webhook {
    pub(crate) async fn listen() -> Self {
        Self::failing(&[]).await
    }

    /// The first messages meet these, one each.
    pub(crate) async fn failing(mishaps: &[Mishap]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let kept = Kept { mishaps: mishaps.iter().copied().collect(), ..Kept::default() };
        let kept = Arc::new(Mutex::new(kept));
        let ours = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&ours)));
            }
        });
        Self { port, kept }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/{SECRET}/B0/xyz", self.port)
    }

    pub(crate) fn attempts(&self) -> usize {
        self.kept.lock().expect("messages").attempts
    }

    pub(crate) fn messages_with(&self, words: &str) -> usize {
        self.texts().iter().filter(|message| message.contains(words)).count()
    }

    /// As people read them.
    pub(crate) fn texts(&self) -> Vec<String> {
        let kept = self.kept.lock().expect("messages");
        let text = |message: &String| {
            let body: Value = serde_json::from_str(message).expect("JSON");
            body["text"].as_str().expect("a text").to_owned()
        };
        kept.messages.iter().map(text).collect()
    }

    /// Their first lines, without the service and the marks around them.
    pub(crate) fn titles(&self) -> Vec<String> {
        let title = |text: &String| {
            let line = text.lines().next().unwrap_or_default().trim_matches('*').to_owned();
            line.replace(" chroma-ha:", "")
        };
        self.texts().iter().map(title).collect()
    }
}

/// One message a connection.
async fn take(mut stream: TcpStream, kept: Arc<Mutex<Kept>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..read]);
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let mishap = {
        let mut kept = kept.lock().expect("messages");
        kept.attempts += 1;
        let mishap = kept.mishaps.pop_front();
        if mishap.is_none() {
            kept.messages
                .push(text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()));
        }
        mishap
    };
    let head = match mishap {
        None => "200 OK".to_owned(),
        Some(Mishap::Status(status, 0)) => format!("{status} Mishap"),
        Some(Mishap::Status(status, seconds)) => format!("{status} Mishap\r\nretry-after: {seconds}"),
        Some(Mishap::Closes) => return Ok(()),
        Some(Mishap::Hangs) => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return Ok(());
        }
    };
    let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    stream.write_all(answer.as_bytes()).await
}
