//! Is a request that no well-behaved client sends read in one way only (G7, G9)? It is refused with a clear 4xx before
//! any node sees it, or it reaches a node as exactly the one request that the balancer read. Whatever it is: nothing
//! panics, no node is blamed, and who comes next is served. The tables say what becomes of which request.

use std::time::{Duration, Instant};

use crate::harness::nodes::collections_url;
use crate::harness::raw::Raw;
use crate::harness::recorder::Recorder;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, document, metric, upsert};
use crate::harness::{Balancer, Place, get};

const SOON: Duration = Duration::from_secs(20);

/// In every request, another one each time.
const MARK: &str = "{mark}";

/// What becomes of a request.
enum Fate {
    /// Answered here with this status; no node sees any of it.
    Here(u16),
    /// Answered with this status by a node, which saw it once, with this in it.
    There(u16, String),
}

use Fate::{Here, There};

struct Case {
    what: String,
    bytes: Vec<u8>,
    fate: Fate,
}

fn case(what: impl Into<String>, bytes: impl AsRef<[u8]>, fate: Fate) -> Case {
    Case { what: what.into(), bytes: bytes.as_ref().to_vec(), fate }
}

fn there(status: u16, seen: &str) -> Fate {
    There(status, seen.to_owned())
}

/// A read without a body and with these lines in its head.
fn with(lines: &str) -> String {
    format!("GET /api/v2/version?{MARK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n")
}

/// A first line of its own.
fn asked(line: &str) -> String {
    format!("{line}\r\nhost: x\r\nx-mark: {MARK}\r\nconnection: close\r\n\r\n")
}

/// The body that a node gets where it is let through.
const BODY: &str = r#"{"ids":["{mark}"]}"#;

/// What would be a second request, were the first one read to be shorter than it is.
const SECOND: &str = "GET /api/v2/version?{mark}second HTTP/1.1\r\nhost: x\r\n\r\n";

/// How a body's length may be told. `path`: a read with a body.
fn lengths(path: &str) -> Vec<Case> {
    let post = |lines: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n{lines}\r\n{body}"
        )
    };
    // As long as it is with a mark of this length.
    let length = BODY.len() - MARK.len() + mark(0).len();
    let whole = format!("\r\n\r\n{BODY}");
    let chunks = format!("{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    let of = |value: &str| format!("content-length: {value}\r\n");
    let chunked = |value: &str| format!("transfer-encoding: {value}\r\n");
    let mut cases = vec![
        case("a length", post(&of(&length.to_string()), BODY), there(200, &whole)),
        case("a length with zeros before it", post(&of(&format!("000{length}")), BODY), there(200, &whole)),
        case(
            "a length in blanks",
            post(&format!("content-length: \t{length} \r\n"), BODY),
            there(200, &whole),
        ),
        case("chunks", post(&chunked("chunked"), &chunks), there(200, &whole)),
        case("chunks in capitals", post(&chunked("CHUNKED"), &chunks), there(200, &whole)),
        case("chunks after a tab", post("transfer-encoding:\tchunked\r\n", &chunks), there(200, &whole)),
    ];
    let both = of(&length.to_string()) + &of(&(length + 1).to_string());
    let same = of(&length.to_string()) + &of(&length.to_string());
    cases.push(case("two lengths that differ", post(&both, BODY), Here(400)));
    cases.push(case("two lengths alike", post(&same, BODY), Here(400)));
    for (first, then) in [
        ("content-length: 4", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "content-length: 4"),
    ] {
        cases.push(case(
            format!("{first}, {then}"),
            post(&format!("{first}\r\n{then}\r\n"), &(chunks.clone() + SECOND)),
            Here(400),
        ));
    }
    for value in
        ["+5", "-1", "5,5", "5, 5", "5 5", "0x5", "5.0", "1e1", "", "five", "18446744073709551616", "\u{662}"]
    {
        cases.push(case(format!("length {value:?}"), post(&of(value), BODY), Here(400)));
    }
    for value in ["18446744073709551615", "41943041"] {
        cases.push(case(format!("length {value}"), post(&of(value), BODY), Here(413)));
    }
    for value in [
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "xchunked",
        "chunkedx",
        "identity",
        "gzip",
        "\"chunked\"",
        "chunked;q=1",
        "chunked,",
        ",chunked",
        "",
    ] {
        cases.push(case(format!("transfer-encoding {value:?}"), post(&chunked(value), &chunks), Here(400)));
    }
    let twice = chunked("chunked") + &chunked("chunked");
    cases.push(case("transfer-encoding twice", post(&twice, &chunks), Here(400)));
    cases.push(case(
        "transfer-encoding, folded",
        post("transfer-encoding:\r\n chunked\r\n", &chunks),
        Here(400),
    ));
    cases.push(case(
        "transfer-encoding, and a vertical tab",
        post("transfer-encoding: \x0bchunked\r\n", &chunks),
        Here(400),
    ));
    // The server would read to the end of the connection, whatever the length says.
    cases.push(case(
        "a websocket with a length",
        post(&format!("upgrade: websocket\r\n{}", of(&length.to_string())), &format!("{BODY}{SECOND}")),
        Here(400),
    ));
    cases.push(case(
        "another protocol",
        post(&format!("upgrade: h2c\r\nconnection: upgrade\r\n{}", of(&length.to_string())), BODY),
        there(200, &whole),
    ));
    cases.extend(chunk_cases(&|body| post(&chunked("chunked"), body), length, &whole));
    cases
}

/// How chunks may be spelt.
fn chunk_cases(post: &dyn Fn(&str) -> String, length: usize, whole: &str) -> Vec<Case> {
    let taken = |what: &str, body: &str| case(what, post(body), there(200, whole));
    let mut cases = vec![
        taken("a size in capitals with zeros", &format!("000{length:X}\r\n{BODY}\r\n0\r\n\r\n")),
        taken("an extension", &format!("{length:x};a=b\r\n{BODY}\r\n0;c\r\n\r\n")),
        taken("blanks after a size", &format!("{length:x} \t\r\n{BODY}\r\n0\r\n\r\n")),
        // What comes after the body is dropped, whatever it says.
        taken(
            "fields after the body",
            &format!(
                "{length:x}\r\n{BODY}\r\n0\r\ncontent-length: 3\r\ntransfer-encoding: gzip\r\nauthorization: {MARK}late\r\n\r\n"
            ),
        ),
    ];
    for (what, body) in [
        ("0x before a size", format!("0x{length:x}\r\n{BODY}\r\n0\r\n\r\n")),
        ("a plus before a size", format!("+{length:x}\r\n{BODY}\r\n0\r\n\r\n")),
        ("a minus before a size", format!("-{length:x}\r\n{BODY}\r\n0\r\n\r\n")),
        ("a blank before a size", format!(" {length:x}\r\n{BODY}\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{BODY}\r\n0\r\n\r\n")),
        ("a size of 17 digits", format!("1000000000000000{length:x}\r\n{BODY}\r\n0\r\n\r\n")),
        ("a size that is no number", format!("zz\r\n{BODY}\r\n0\r\n\r\n")),
        ("a size before a mere line feed", format!("{length:x}\n{BODY}\r\n0\r\n\r\n")),
        ("an extension with NUL", format!("{length:x};\0\r\n{BODY}\r\n0\r\n\r\n")),
        ("an extension with a line feed", format!("{length:x};a\n0\r\n{BODY}\r\n0\r\n\r\n")),
        ("more than its size", format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", length - 1)),
        ("less than its size", format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", length + 1)),
        ("no line's end after it", format!("{length:x}\r\n{BODY}0\r\n\r\n")),
        ("a mere line feed after it", format!("{length:x}\r\n{BODY}\n0\r\n\r\n")),
    ] {
        cases.push(case(format!("a chunk: {what}"), post(&body), Here(400)));
    }
    cases
}

/// How a head may be spelt.
fn heads() -> Vec<Case> {
    let line = format!("GET /api/v2/version?{MARK} HTTP/1.1");
    let served = || there(200, &line);
    let mut cases = vec![
        case("an empty line before it", format!("\r\n\r\n{}", with("")), served()),
        // As RFC 9112 (2.2) has it: a line may end with a mere line feed.
        case("mere line feeds", with("").replace("\r\n", "\n"), served()),
        case("a value in other letters", with("x-a: \u{e4}\r\n"), served()),
        case("96 fields", with(&"x-a: b\r\n".repeat(94)), served()),
        case("97 fields", with(&"x-a: b\r\n".repeat(95)), Here(431)),
        case("a field of 100 KiB", with(&format!("x-a: {}\r\n", "b".repeat(100 << 10))), served()),
        case("a field of 200 KiB", with(&format!("x-a: {}\r\n", "b".repeat(200 << 10))), Here(431)),
        case("HTTP/1.0", format!("GET /api/v2/version?{MARK} HTTP/1.0\r\n\r\n"), served()),
        case("HTTP/1.0 without a length", format!("POST /api/v2/reset?{MARK} HTTP/1.0\r\n\r\n"), Here(400)),
        case(
            "HTTP/1.0 with chunks",
            format!("GET /api/v2/version?{MARK} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            Here(400),
        ),
        case("no host", format!("{line}\r\n\r\n"), Here(400)),
        case("two hosts", format!("{line}\r\nhost: a\r\nhost: b\r\n\r\n"), Here(400)),
        case("two hosts alike", format!("{line}\r\nhost: a\r\nhost: a\r\n\r\n"), Here(400)),
        case("a host that is none", format!("{line}\r\nhost: @/?#\r\nconnection: close\r\n\r\n"), served()),
        case("an expectation that nobody knows", with("expect: 200-maybe\r\n"), served()),
        case("a websocket", with("upgrade: WebSocket\r\nconnection: upgrade\r\n"), Here(400)),
        case("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Here(400)),
        case("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Here(400)),
    ];
    for (what, lines) in [
        ("a folded field", "x-a: b\r\n c\r\n"),
        ("a first field that is folded", " x-a: b\r\n"),
        ("a blank before the colon", "x-a : b\r\n"),
        ("a tab before the colon", "x-a\t: b\r\n"),
        ("no colon", "x-a\r\n"),
        ("no name", ": b\r\n"),
        ("NUL in a name", "x-\0a: b\r\n"),
        ("NUL in a value", "x-a: \0\r\n"),
        ("a carriage return in a value", "x-a: b\rc\r\n"),
        ("a bell in a value", "x-a: \x07\r\n"),
        ("a name in other letters", "x-\u{e4}: b\r\n"),
        ("a name in brackets", "x(a): b\r\n"),
    ] {
        cases.push(case(what, with(lines), Here(400)));
    }
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/11", "http/1.1", "HTTP/1.1 x", ""] {
        let line = format!("GET /api/v2/version?{MARK} {version}");
        cases.push(case(format!("version {version:?}"), asked(&line), Here(400)));
    }
    cases
}

/// What may stand where the target stands.
fn targets() -> Vec<Case> {
    let get = |target: &str| asked(&format!("GET {target} HTTP/1.1"));
    let mut cases = vec![
        case(
            "with a scheme and a host",
            get("http://elsewhere/api/v2/version"),
            there(200, "GET /api/v2/version HTTP/1.1"),
        ),
        case(
            "with a user and a password",
            get("http://u:p@elsewhere/api/v2/version"),
            there(200, "GET /api/v2/version HTTP/1.1"),
        ),
        // A client that forgets to encode it. What is behind it is for the client itself.
        case("with a fragment", get("/api/v2/version#part"), there(200, "GET /api/v2/version HTTP/1.1")),
        case("two slashes", get("//api/v2/version"), there(404, "GET //api/v2/version HTTP/1.1")),
        case("capitals", get("/API/v2/version"), there(404, "GET /API/v2/version HTTP/1.1")),
        case(
            "letters that need no encoding",
            get("/api/v2/%76ersion"),
            there(404, "GET /api/v2/%76ersion HTTP/1.1"),
        ),
        case(
            "parameters of a segment",
            get("/api/v2/version;a=b"),
            there(404, "GET /api/v2/version;a=b HTTP/1.1"),
        ),
        case("a host and a port", get("elsewhere:80"), Here(400)),
        case("no target", asked("GET  HTTP/1.1"), Here(400)),
        case("nothing but a query", get("?a"), Here(400)),
        case("an asterisk", asked("OPTIONS * HTTP/1.1"), Here(400)),
        case("a path that is too long", get(&format!("/api/v2/{}", "a".repeat(17 << 10))), Here(414)),
        case(
            "a query that is too long",
            get(&format!("/api/v2/version?{}", "a".repeat(17 << 10))),
            Here(414),
        ),
        case("NUL", get("/api/v2/ver\0sion"), Here(400)),
        case("a blank", get("/api/v2/ver sion"), Here(400)),
        case("a tab", get("/api/v2/ver\tsion"), Here(400)),
        case(
            "half a letter",
            [b"GET /api/v2/\xc3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".as_slice()].concat(),
            Here(400),
        ),
        case("a path to the operator's routes", get("/api/../admin/audit"), Here(400)),
        case("the same, encoded", get("/api/%2e%2e/admin/audit"), Here(400)),
        case("letters as they are", get("/api/v2/\u{e4}"), Here(400)),
        case("NUL as a write's id", get("/wal/writes/%00"), Here(404)),
        case("half a letter as a write's id", get("/wal/writes/%ff"), Here(404)),
        case("a long write's id", get(&format!("/wal/writes/{}", "a".repeat(60 << 10))), Here(414)),
        case("the same, behind a name", get("/wal/writes/..%2f..%2fadmin%2faudit"), Here(404)),
    ];
    for odd in ODD_SEGMENTS {
        for place in PLACES {
            let target = place.replace("{odd}", odd);
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let line = format!("{method} {target} HTTP/1.1");
                cases.push(case(line.clone(), asked(&line), Here(400)));
            }
        }
    }
    cases
}

/// What a name must not be: a node, or a URL's parser on the way to it, would read something else.
const ODD_SEGMENTS: [&str; 12] =
    ["..", ".", "%2e%2e", "%2E.", ".%2e", "%2e", "a%2Fb", "a%2fb", "a%00b", "%ff", "%c0%af", "a\\b"];

/// Where names stand.
const PLACES: [&str; 6] = [
    "/api/v2/tenants/{odd}",
    "/api/v2/tenants/{odd}/databases/d",
    "/api/v2/tenants/t/databases/{odd}/collections",
    "/api/v2/tenants/t/databases/d/collections/{odd}",
    "/api/v2/tenants/t/databases/d/collections/{odd}/add",
    "/api/v1/collections/{odd}",
];

/// What may stand where the method stands.
fn methods() -> Vec<Case> {
    let of = |method: &str, target: &str, status| {
        let line = format!("{method} {target} HTTP/1.1");
        case(line.clone(), asked(&line), Here(status))
    };
    let mut cases = vec![
        of("CONNECT", "elsewhere:443", 400),
        of("CONNECT", "/api/v2/version", 400),
        of("TRACE", "/api/v2/version", 405),
        of("TRACE", "/", 501),
        of("get", "/api/v2/version", 405),
        of("Post", "/api/v2/reset", 405),
        of("FOO", "/api/v2/tenants", 405),
        of("PURGE", "/api/v2/nonsense", 501),
        of("G(T", "/api/v2/version", 400),
        of("G\u{c9}T", "/api/v2/version", 400),
        of("", "/api/v2/version", 400),
    ];
    cases.push(of(&"M".repeat(10_000), "/api/v2/version", 405));
    let overridden = asked("DELETE /api/v2/version HTTP/1.1")
        .replace("\r\n\r\n", "\r\nx-http-method-override: GET\r\n\r\n");
    cases.push(case("a method of a field", overridden, Here(405)));
    cases
}

fn mark(number: usize) -> String {
    format!("m{number:06}")
}

struct Ground {
    balancer: Balancer,
    recorder: Recorder,
    id: String,
    _place: Place,
    _nodes: Vec<chroma_ha::dev::Chroma>,
}

impl Ground {
    async fn start() -> Self {
        let place = Place::new("hostile");
        let nodes = start_nodes(&place, 1, false).await;
        let recorder = Recorder::before(nodes[0].port()).await;
        let env = [
            ("DATABASE_URL", database().await),
            ("PRIMARY_URL", recorder.url()),
            ("PROBE_TIMEOUT", "20".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let balancer = Balancer::start(env, place.join("balancer.log")).await;
        let id = create(&balancer.url(), "hostile").await;
        upsert(&balancer.url(), &id, "first", "there").await;
        Self { balancer, recorder, id, _place: place, _nodes: nodes }
    }

    /// What was not as it should be.
    async fn tried(&self, number: usize, case: &Case) -> Option<String> {
        let mark = mark(number);
        let marked = |text: &str| text.replace(MARK, &mark);
        let bytes = replaced(&case.bytes, MARK.as_bytes(), mark.as_bytes());
        let mut client = Raw::at(self.balancer.port()).await;
        client.send_as_far_as_taken(&bytes).await;
        let begun = Instant::now();
        let answer = client.taken(SOON).await;
        let closed = begun.elapsed() < SOON;
        let status = answer.get(9..12).unwrap_or_default();
        let answers = answer.matches("HTTP/1.").count();
        let seen = self.recorder.times_seen(&mark);
        let (expected, as_expected) = match &case.fate {
            Here(expected) => (expected, seen == 0),
            There(expected, text) => (expected, seen == 1 && self.recorder.times_seen(&marked(text)) > 0),
        };
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let good = closed
            && status == expected.to_string()
            && answers == 1
            && as_expected
            && body.lines().count() <= 1;
        let next = get(&format!("{}/api/v2/version", self.balancer.url())).await.0;
        (!good || next != 200).then(|| {
            let shown: String = answer.chars().take(300).collect();
            format!(
                "{}\n  expected {expected}, a node saw its mark {seen} times, then {next}: {shown:?}",
                case.what
            )
        })
    }

    async fn assert_all(&self, cases: &[Case]) {
        let mut odd = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            odd.extend(self.tried(number, case).await);
        }
        assert!(odd.is_empty(), "{} of {} are odd:\n{}", odd.len(), cases.len(), odd.join("\n"));
        self.assert_unharmed().await;
    }

    /// No node was blamed, nothing fell, and a write is taken and read.
    async fn assert_unharmed(&self) {
        let url = self.balancer.url();
        let blamed =
            metric(&url, "chroma_ha_node_state_changes_total{node=\"primary\",to=\"suspect\"}").await;
        assert_eq!(blamed, 0.0, "a client's mistake is no node's");
        upsert(&url, &self.id, "last", "taken").await;
        assert_eq!(document(&url, &self.id, "last").await, "taken");
        let log = self.balancer.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(from) {
            all.extend_from_slice(to);
            at += from.len();
        } else {
            all.push(bytes[at]);
            at += 1;
        }
    }
    all
}

#[tokio::test]
async fn every_head_is_read_in_one_way_or_refused() {
    let ground = Ground::start().await;
    let cases: Vec<Case> = [heads(), targets(), methods()].into_iter().flatten().collect();
    ground.assert_all(&cases).await;
}

#[tokio::test]
async fn every_body_has_one_end_or_is_refused() {
    let ground = Ground::start().await;
    let path = format!("{}/{}/get", collections_url(""), ground.id);
    ground.assert_all(&lengths(&path)).await;
}

/// Both of two requests that come at once are answered, in their order, each by its own.
#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let ground = Ground::start().await;
    let path = format!("{}/{}/get", collections_url(""), ground.id);
    let body = r#"{"ids":["first"],"include":["documents"]}"#;
    let first = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let many = first.repeat(20) + &with("").replace(MARK, "last");
    let mut client = Raw::at(ground.balancer.port()).await;
    client.send_as_far_as_taken(many.as_bytes()).await;
    let answer = client.rest(SOON).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 21, "{answer}");
    assert_eq!(answer.matches("\"documents\":[\"there\"]").count(), 20, "{answer}");
    assert!(answer.trim_end().ends_with('"'), "the version comes last: {answer}");
    // Who waits to be told to go on is told, and is not when the body would be refused.
    for (length, expected) in [
        (body.len(), ["HTTP/1.1 100 Continue", "HTTP/1.1 200 "]),
        (50 << 20, ["HTTP/1.1 413 ", "MAX_BODY_BYTES"]),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let mut client = Raw::at(ground.balancer.port()).await;
        client.send_as_far_as_taken(head.as_bytes()).await;
        let answer = client.rest(SOON).await;
        assert!(expected.iter().all(|text| answer.contains(text)), "{answer}");
    }
    ground.assert_unharmed().await;
}
