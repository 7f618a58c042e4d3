//! Does each mode of the proxy do what its line says? Before a server that remembers what it got and
//! answers every line with ten bytes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{ChaosProxy, Mode};
use crate::harness::surface::{create, upsert};
use crate::harness::{Options, Stack, assert_nodes_equal, node_records, until};

const SOON: Duration = Duration::from_secs(20);

/// Nothing comes for so long: it does not come.
const SILENCE: Duration = Duration::from_millis(200);

const ANSWER: &[u8] = b"123456789\n";

type Lines = Arc<Mutex<Vec<String>>>;

struct Bench {
    proxy: ChaosProxy,
    got: Lines,
}

async fn answer(stream: TcpStream, got: Lines) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        got.lock().expect("lines").push(line);
        if writer.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let got = Lines::default();
        let kept = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&kept)));
            }
        });
        Self { proxy: ChaosProxy::before(port).await, got }
    }

    async fn open(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.proxy.port())).await.expect("a connection")
    }

    async fn until_got(&self, wanted: &str) {
        until(SOON, "the server gets it", async || self.has(wanted)).await;
    }

    fn has(&self, wanted: &str) -> bool {
        self.got.lock().expect("lines").iter().any(|line| line == wanted)
    }
}

async fn say(stream: &mut TcpStream, line: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).await.expect("a write");
}

/// What comes until the answer is whole or the connection ends.
async fn hear(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.len() < ANSWER.len() {
        let mut bytes = [0; 64];
        match timeout(SOON, stream.read(&mut bytes)).await.expect("an answer or an end")? {
            0 => break,
            length => heard.extend_from_slice(&bytes[..length]),
        }
    }
    Ok(heard)
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read(&mut [0; 1])).await.is_err()
}

async fn is_reset(stream: &mut TcpStream) -> bool {
    hear(stream).await.is_err_and(|reason| reason.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn pass_passes_and_a_server_that_is_not_there_resets() {
    let bench = Bench::new().await;
    let mut stream = bench.open().await;
    for turn in ["one", "two"] {
        say(&mut stream, turn).await;
        assert_eq!(hear(&mut stream).await.expect("an answer"), ANSWER);
        assert!(bench.has(turn));
    }
    assert_eq!((bench.proxy.hits(), bench.proxy.accepted()), (0, 1));
    let nobody = ChaosProxy::before(chroma_ha::dev::free_port().expect("a port")).await;
    let mut stream = TcpStream::connect(("127.0.0.1", nobody.port())).await.expect("a connection");
    assert!(is_reset(&mut stream).await);
}

#[tokio::test]
async fn a_black_hole_swallows_and_what_fell_into_it_is_reset_afterwards() {
    let bench = Bench::new().await;
    let (mut open, mut idle) = (bench.open().await, bench.open().await);
    for stream in [&mut open, &mut idle] {
        say(stream, "before").await;
        hear(stream).await.expect("an answer");
    }
    bench.proxy.set(Mode::BlackHole).await;
    let mut late = bench.open().await;
    say(&mut open, "lost").await;
    say(&mut late, "lost").await;
    until(SOON, "both fell in", async || bench.proxy.hits() >= 2).await;
    assert!(is_silent(&mut open).await && is_silent(&mut late).await);
    bench.proxy.set(Mode::Pass).await;
    assert!(is_reset(&mut open).await && is_reset(&mut late).await);
    assert!(!bench.has("lost"));
    say(&mut idle, "after").await;
    assert_eq!(hear(&mut idle).await.expect("an answer"), ANSWER);
}

#[tokio::test]
async fn refuse_refuses_resets_what_is_open_and_keeps_the_port() {
    let bench = Bench::new().await;
    let mut open = bench.open().await;
    say(&mut open, "before").await;
    hear(&mut open).await.expect("an answer");
    bench.proxy.set(Mode::Refuse).await;
    assert!(is_reset(&mut open).await);
    let refused = TcpStream::connect(("127.0.0.1", bench.proxy.port())).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    bench.proxy.set(Mode::Pass).await;
    let mut stream = bench.open().await;
    say(&mut stream, "after").await;
    assert_eq!(hear(&mut stream).await.expect("an answer"), ANSWER);
}

#[tokio::test]
async fn reset_resets_in_the_middle() {
    let bench = Bench::new().await;
    let mut open = bench.open().await;
    say(&mut open, "before").await;
    hear(&mut open).await.expect("an answer");
    bench.proxy.set(Mode::Reset).await;
    assert!(is_reset(&mut open).await);
    let mut late = bench.open().await;
    say(&mut late, "lost").await;
    assert!(is_reset(&mut late).await);
    assert!(!bench.has("lost"));
}

#[tokio::test]
async fn delay_and_throttle_only_slow_down() {
    let bench = Bench::new().await;
    let mut stream = bench.open().await;
    let each_way = Duration::from_millis(60);
    for mode in
        [Mode::Delay { each_way, jitter: Duration::from_millis(5) }, Mode::Throttle { bytes_per_second: 100 }]
    {
        bench.proxy.set(mode).await;
        let begun = Instant::now();
        say(&mut stream, "123456").await;
        assert_eq!(hear(&mut stream).await.expect("an answer"), ANSWER);
        assert!(begun.elapsed() >= 2 * each_way, "{mode:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_lost_response_was_delivered() {
    let bench = Bench::new().await;
    bench.proxy.set(Mode::LoseResponse).await;
    let mut stream = bench.open().await;
    say(&mut stream, "one").await;
    assert_eq!(hear(&mut stream).await.expect("an end"), b"");
    assert!(bench.has("one"));
    bench.proxy.set(Mode::LoseResponseAndHang).await;
    let mut stream = bench.open().await;
    say(&mut stream, "two").await;
    bench.until_got("two").await;
    assert!(is_silent(&mut stream).await);
    bench.proxy.set(Mode::Pass).await;
    assert!(is_reset(&mut stream).await);
}

#[tokio::test]
async fn held_requests_are_delivered_late_with_or_without_their_client() {
    let bench = Bench::new().await;
    bench.proxy.set(Mode::HoldRequests).await;
    let (mut patient, mut gone) = (bench.open().await, bench.open().await);
    say(&mut patient, "patient").await;
    say(&mut gone, "gone").await;
    until(SOON, "both are withheld", async || bench.proxy.hits() >= 2).await;
    drop(gone);
    assert!(is_silent(&mut patient).await);
    assert!(!bench.has("gone") && !bench.has("patient"));
    bench.proxy.set(Mode::Pass).await;
    assert_eq!(hear(&mut patient).await.expect("an answer"), ANSWER);
    bench.until_got("gone").await;
}

#[tokio::test]
async fn a_cut_response_ends_after_so_many_bytes_of_each_answer() {
    let bench = Bench::new().await;
    let mut stream = bench.open().await;
    say(&mut stream, "whole").await;
    hear(&mut stream).await.expect("an answer");
    bench.proxy.set(Mode::CutResponse { after: 4 }).await;
    say(&mut stream, "cut").await;
    assert_eq!(hear(&mut stream).await.expect("an end"), b"1234");
    assert_eq!(bench.proxy.hits(), 1);
}

#[tokio::test]
async fn everything_of_a_stack_goes_through_its_links() {
    let stack = Stack::start(Options { chaos: true, ..Options::default() }).await;
    let links = stack.links();
    let id = create(&links.clients.url(), "docs").await;
    upsert(&links.clients.url(), &id, "a", "text").await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    assert!(links.all().all(|proxy| proxy.accepted() > 0));
    let held = node_records(&stack.nodes[1].url(), "docs").await;
    assert_eq!(held.len(), 1);
}
