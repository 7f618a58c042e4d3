//! Which headers pass (G9)? What a client and a server say to each other does, both ways; what concerns one
//! connection does not, nor what is the balancer's alone.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::nodes::collections_url;
use crate::harness::recorder::Recorder;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, upsert};
use crate::harness::{Balancer, Place};

async fn over(place: &Place, node_url: String) -> Balancer {
    let env =
        [("DATABASE_URL", database().await), ("PRIMARY_URL", node_url), ("PROBE_TIMEOUT", "20".to_owned())];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Balancer::start(env, place.join("balancer.log")).await
}

/// The answer as it is on the wire; the server closes after it.
async fn raw(port: u16, request: String) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the balancer");
    socket.write_all(request.as_bytes()).await.expect("a written request");
    let mut answer = Vec::new();
    let (mut length, mut bytes) = (None, vec![0; 1 << 14]);
    while length != Some(answer.len()) {
        let read = socket.read(&mut bytes).await.expect("an answer");
        assert!(read > 0, "it broke off: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..read]);
        length = whole(&answer);
    }
    String::from_utf8_lossy(&answer).to_lowercase()
}

/// How long an answer is whose head has come.
fn whole(answer: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let (head, _) = text.split_once("\r\n\r\n")?;
    let field = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some(head.len() + 4 + field.map_or(0, |length| length.parse().expect("a length")))
}

const PASSES: [&str; 3] = ["x-anything: of-the-client", "authorization: bearer c", "accept: */*"];

/// Goes on under another span: see `traces`.
const TRACE: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-";

const STAYS: [&str; 6] = [
    "connection: keep-alive, x-of-this-hop",
    "keep-alive: timeout=77",
    "proxy-connection: hop",
    "te: trailers",
    "trailer: x-last",
    "idempotency-key: of-the-balancer",
];

#[tokio::test]
async fn a_read_goes_to_a_node_with_the_clients_headers_and_without_those_of_its_connection() {
    let place = Place::new("headers");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let recorder = Recorder::before(node.port()).await;
    let balancer = over(&place, recorder.url()).await;
    let id = create(&balancer.url(), "read").await;
    let path = collections_url("");
    let trace = format!("{TRACE}00f067aa0ba902b7-01");
    let lines: Vec<&str> = PASSES.into_iter().chain(STAYS).chain([trace.as_str()]).collect();
    let head = format!(
        "GET {path}/{id}/count?mark HTTP/1.1\r\nhost: named-by-client\r\n{}\r\n\r\n",
        lines.join("\r\n")
    );
    let answer = raw(balancer.port(), head).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(recorder.has_seen("/count?mark"), "the read went to the node");
    for line in PASSES {
        assert!(recorder.has_seen(line), "{line}");
    }
    assert!(recorder.has_seen(TRACE));
    for line in STAYS.into_iter().chain(["named-by-client", "00f067aa0ba902b7"]) {
        assert!(!recorder.has_seen(line), "{line}");
    }
    // Of a write only what is logged, for every node gets what is in the log.
    let trace = trace.replace("4bf9", "4bfa");
    let body = r#"{"ids": ["a"], "embeddings": [[1, 2, 3]]}"#;
    let head = format!(
        "POST {path}/{id}/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{trace}\r\n\
        authorization: bearer of-a-write\r\nx-private: of-a-write\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(balancer.port(), head).await;
    assert!(answer.starts_with("http/1.1 201"), "{answer}");
    assert!(recorder.has_seen(&TRACE.replace("4bf9", "4bfa")), "it went to the node");
    assert!(!recorder.has_seen("of-a-write"), "with what is not logged");
    upsert(&balancer.url(), &id, "b", "still").await;
}

/// Answers whatever it is asked, with headers of its own connection.
async fn talkative() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer_all(socket));
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn answer_all(mut socket: TcpStream) -> std::io::Result<()> {
    let (mut asked, mut bytes) = (Vec::new(), vec![0; 1 << 14]);
    loop {
        let read = socket.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        asked.extend_from_slice(&bytes[..read]);
        if asked.ends_with(b"\r\n\r\n") {
            asked.clear();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\
                chroma-trace-id: of-the-node\r\nx-anything: of-the-node\r\nconnection: keep-alive, x-of-this-hop\r\n\
                keep-alive: timeout=77\r\nproxy-connection: hop\r\ntrailer: x-last\r\n\r\n\"1.0\"";
            socket.write_all(head.as_bytes()).await?;
        }
    }
}

#[tokio::test]
async fn an_answer_comes_with_the_nodes_headers_and_without_those_of_its_connection() {
    let place = Place::new("headers");
    let balancer = over(&place, talkative().await).await;
    let request = "GET /api/v2/version HTTP/1.1\r\nhost: x\r\n\r\n".to_owned();
    let answer = raw(balancer.port(), request).await;
    assert!(answer.starts_with("http/1.1 200") && answer.ends_with("\"1.0\""), "{answer}");
    for line in ["content-type: application/json", "chroma-trace-id: of-the-node", "x-anything: of-the-node"]
    {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    for line in ["x-of-this-hop", "keep-alive: timeout=77", "proxy-connection", "trailer"] {
        assert!(!answer.contains(line), "{line}: {answer}");
    }
    assert_eq!(answer.matches("content-length").count(), 1, "{answer}");
}
