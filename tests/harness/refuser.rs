//! What if a node refuses a write that another one took? Passes requests on to one server, but answers
//! 400 itself to changes whose path ends as the test says. One request a connection.

use std::sync::{Arc, Mutex};

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::client;

#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Option<&'static str>>>);

pub(crate) struct Refuser {
    port: u16,
    refused: Refused,
}

impl Refuser {
    pub(crate) async fn before(server_url: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let refused = Refused::default();
        tokio::spawn(accept(listener, server_url, refused.clone()));
        Self { port, refused }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes of paths with this end are refused from now on; `None`: nothing is.
    pub(crate) fn refuse(&self, end: Option<&'static str>) {
        *self.refused.0.lock().expect("a word") = end;
    }
}

async fn accept(listener: TcpListener, server_url: String, refused: Refused) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(pass(stream, server_url.clone(), refused.clone()));
    }
}

/// Ends without an answer when anything is wrong, as a broken server would.
async fn pass(mut stream: TcpStream, server_url: String, refused: Refused) -> Option<()> {
    let (head, body) = request(&mut stream).await?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    let end = *refused.0.lock().expect("a word");
    let (status, text) = if method != "GET" && end.is_some_and(|end| path.ends_with(end)) {
        (400, r#"{"error":"InvalidArgumentError","message":"refused by the <b>test</b>"}"#.to_owned())
    } else {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let request = client().request(method, format!("{server_url}{path}"));
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.ok()?;
        (answer.status().as_u16(), answer.text().await.ok()?)
    };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{text}").as_bytes()).await.ok()
}

async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
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
