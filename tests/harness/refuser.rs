//! What if a node refuses a write that another one took, or falls under it? Passes requests on to one
//! server, but answers 400 itself to changes whose path ends as the test says, and falls under changes
//! that hold a word: nothing that is under way gets an answer. One request a connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::client::client;

/// What the front does otherwise than the server.
#[derive(Default)]
struct Whims {
    refused: Mutex<Option<&'static str>>,
    poison: Mutex<Option<Poison>>,
    /// Records that it says it takes in one request.
    batch_limit: Mutex<Option<usize>>,
    /// The most ids that a record write had.
    largest: AtomicUsize,
    /// How often it fell.
    falls: watch::Sender<usize>,
}

const VERBS: [&str; 4] = ["/add", "/upsert", "/update", "/delete"];

/// Under changes that hold this word the node falls, each time.
#[derive(Clone, Copy)]
pub(crate) struct Poison {
    pub(crate) word: &'static str,
    /// The server has executed them.
    pub(crate) applied: bool,
}

pub(crate) struct Refuser {
    port: u16,
    whims: Arc<Whims>,
}

impl Refuser {
    pub(crate) async fn before(server_url: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let whims = Arc::new(Whims::default());
        tokio::spawn(accept(listener, server_url, Arc::clone(&whims)));
        Self { port, whims }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes of paths with this end are refused from now on; `None`: nothing is.
    pub(crate) fn refuse(&self, end: Option<&'static str>) {
        *self.whims.refused.lock().expect("a word") = end;
    }

    /// From now on; `None`: under nothing.
    pub(crate) fn fall_under(&self, poison: Option<Poison>) {
        *self.whims.poison.lock().expect("a word") = poison;
    }

    pub(crate) fn falls(&self) -> usize {
        *self.whims.falls.borrow()
    }

    /// Whoever asks from now on how many records it takes in one request is told so many.
    pub(crate) fn tell_batch_limit(&self, records: usize) {
        *self.whims.batch_limit.lock().expect("a word") = Some(records);
    }

    /// The most ids in one record write so far.
    pub(crate) fn largest(&self) -> usize {
        self.whims.largest.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, server_url: String, whims: Arc<Whims>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (server_url, whims) = (server_url.clone(), Arc::clone(&whims));
        tokio::spawn(async move {
            let mut fell = whims.falls.subscribe();
            tokio::select! {
                _ = pass(stream, &server_url, &whims) => {}
                _ = fell.changed() => {}
            }
        });
    }
}

fn batch_limit(whims: &Whims, path: &str) -> Option<usize> {
    let limit = *whims.batch_limit.lock().expect("a word");
    limit.filter(|_| path == "/api/v2/pre-flight-checks")
}

/// Ends without an answer when anything is wrong, as a broken server would.
async fn pass(mut stream: TcpStream, server_url: &str, whims: &Whims) -> Option<()> {
    let (head, body) = request(&mut stream).await?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    let poison = *whims.poison.lock().expect("a word");
    let poisoned = |poison: &Poison| String::from_utf8_lossy(&body).contains(poison.word);
    let poison = poison.filter(|poison| method != "GET" && poisoned(poison));
    if poison.is_some_and(|poison| !poison.applied) {
        whims.falls.send_modify(|falls| *falls += 1);
        return None;
    }
    let end = *whims.refused.lock().expect("a word");
    let batch_limit = batch_limit(whims, path);
    if VERBS.iter().any(|verb| path.ends_with(verb)) {
        let body: Value = serde_json::from_slice(&body).ok()?;
        whims.largest.fetch_max(body["ids"].as_array().map_or(0, Vec::len), Ordering::Relaxed);
    }
    let (status, text) = if let Some(records) = batch_limit {
        (200, json!({ "max_batch_size": records }).to_string())
    } else if method != "GET" && end.is_some_and(|end| path.ends_with(end)) {
        (400, r#"{"error":"InvalidArgumentError","message":"refused by the <b>test</b>"}"#.to_owned())
    } else {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let request = client().request(method, format!("{server_url}{path}"));
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.ok()?;
        (answer.status().as_u16(), answer.text().await.ok()?)
    };
    if poison.is_some() {
        whims.falls.send_modify(|falls| *falls += 1);
        return None;
    }
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{text}").as_bytes()).await.ok()
}

/// Head and body of the next request.
pub(super) async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
            let mut body = bytes[at + 4..].to_vec();
            let missing = length.saturating_sub(body.len());
            let mut rest = vec![0; missing];
            stream.read_exact(&mut rest).await.ok()?;
            body.extend(rest);
            return Some((String::from_utf8_lossy(&bytes[..at]).into_owned(), body));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
