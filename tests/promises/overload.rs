//! What does far more load than the balancer may take do to it (G7)? Ten times as many clients as permits,
//! large bodies, a slow node: its memory stays within what the configuration allows, what it acknowledged is
//! on every node, and when the load is gone it is as before. It says what it measured, and judges no speed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, StatusCode};
use serde_json::json;

use crate::harness::chaos::Mode;
use crate::harness::client::client;
use crate::harness::memory::{MIB, peak, resident};
use crate::harness::nodes::{collections_url, node_records};
use crate::harness::status::{PATIENCE, pending, status};
use crate::harness::surface::{create, document, records};
use crate::harness::{Options, Stack, assert_nodes_equal, until};

/// How long the load lasts, unless `CHROMA_HA_OVERLOAD_SECONDS` says otherwise.
const SECONDS: u64 = 12;
const PERMITS: usize = 16;
const WRITERS: usize = 120;
const READERS: usize = 40;
const BODY: usize = 1 << 20;
const BODY_MEMORY: u64 = 8 * MIB;
const LANES: u64 = 8 * MIB;

/// As the balancer asks.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a group of the log and a page read back from it hold at most.
const GROUP: u64 = 16 * MIB;

/// What actix keeps for a connection of which nothing is read: 128 KiB of its socket, and a chunk.
const CONNECTION: u64 = MIB / 4;

/// A body is copied once on its way to PostgreSQL. Entries and what is read back are, too, and what is freed
/// of them is not given back to the kernel at once.
fn allowed(begun: u64, body_memory: u64, connections: usize) -> u64 {
    begun + 2 * body_memory + 3 * (2 * LANES + GROUP + 2 * GROUP) + connections as u64 * CONNECTION
}

/// A body of any length without as much memory here: few records, and spaces before them.
fn padded(ids: &[String], bytes: usize) -> Body {
    static SPACES: [u8; 64 << 10] = [b' '; 64 << 10];
    let embedding: Vec<f32> = (0..128).map(|n| n as f32 / 7.0).collect();
    let records = json!({"ids": ids, "embeddings": vec![embedding; ids.len()]}).to_string();
    let spaces = bytes - records.len();
    let whole = (0..spaces / SPACES.len()).map(|_| Bytes::from_static(&SPACES));
    let rest = Bytes::from_static(&SPACES[..spaces % SPACES.len()]);
    let pieces: Vec<Bytes> = whole.chain([rest, Bytes::from(records)]).collect();
    Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

#[derive(Default)]
struct Book {
    written: BTreeSet<String>,
    writes: Vec<Duration>,
    reads: Vec<Duration>,
    shed: usize,
    /// Refused while they were still sending: the connection was closed before they looked at the answer.
    cut: usize,
    /// Neither 2xx nor 503 with `Retry-After`.
    strange: Vec<String>,
}

struct Flood {
    url: String,
    id: String,
    body: usize,
    book: Mutex<Book>,
    stop: AtomicBool,
}

impl Flood {
    fn over(url: &str, id: &str, body: usize) -> Arc<Flood> {
        let (url, id) = (url.to_owned(), id.to_owned());
        Arc::new(Flood { url, id, body, book: Mutex::default(), stop: AtomicBool::new(false) })
    }

    async fn ask(&self, verb: &str, body: Body, length: Option<usize>) -> bool {
        let url = format!("{}/{}/{verb}", collections_url(&self.url), self.id);
        let mut request = client().post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        let begun = Instant::now();
        let answer = request.send().await;
        let mut book = self.book.lock().expect("a book that no test tore");
        match answer {
            Ok(answer) if answer.status().is_success() => {
                let latencies = if verb == "upsert" { &mut book.writes } else { &mut book.reads };
                latencies.push(begun.elapsed());
                return true;
            }
            Ok(answer)
                if answer.status() == StatusCode::SERVICE_UNAVAILABLE
                    && answer.headers().contains_key("retry-after") =>
            {
                book.shed += 1;
            }
            Err(reason) if reason.is_request() && length.is_some() => book.cut += 1,
            Ok(answer) => book.strange.push(format!("{verb}: {}", answer.status())),
            Err(reason) => book.strange.push(format!("{verb}: {reason:?}")),
        }
        false
    }

    async fn write(self: Arc<Self>, number: usize, most: usize) {
        for round in 0..most {
            let ids: Vec<String> = (0..4).map(|n| format!("w{number}-{round}-{n}")).collect();
            if self.ask("upsert", padded(&ids, self.body), Some(self.body)).await {
                self.book.lock().expect("a book that no test tore").written.extend(ids);
            } else {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    async fn read(self: Arc<Self>) {
        while !self.stop.load(Ordering::Relaxed) {
            let body = json!({"ids": ["seed"], "include": ["documents"]}).to_string();
            if !self.ask("get", Body::from(body), None).await {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// Says what was measured; panics if anything but a refusal was met.
    fn told(&self, what: &str, memory: (u64, u64, u64)) -> BTreeSet<String> {
        let mut book = self.book.lock().expect("a book that no test tore");
        let (begun, peak, allowed) = memory;
        let p99 = |latencies: &mut Vec<Duration>| {
            latencies.sort();
            latencies.get(latencies.len().saturating_sub(1) * 99 / 100).map(Duration::as_millis)
        };
        let (writes, reads, cut) = (book.writes.len(), book.reads.len(), book.cut);
        let shed = book.shed + cut;
        let share = 100 * shed / (writes + reads + shed).max(1);
        let (write_p99, read_p99) = (p99(&mut book.writes), p99(&mut book.reads));
        println!(
            "{what}: resident {} MiB before, {} MiB at most, {} MiB allowed; {writes} writes (p99 {write_p99:?} ms), \
            {reads} reads (p99 {read_p99:?} ms), {shed} refused ({share} %), of which {cut} while sending",
            begun / MIB,
            peak / MIB,
            allowed / MIB,
        );
        assert!(book.strange.is_empty(), "{:#?}", &book.strange[..book.strange.len().min(5)]);
        std::mem::take(&mut book.written)
    }
}

/// Every record that was acknowledged is on every node, nothing is held any more, and requests are served.
async fn assert_as_before(stack: &Stack, collection: &str, id: &str, written: &BTreeSet<String>) {
    until(PATIENCE, "every node has the whole log", async || pending(stack).await == 0).await;
    assert_nodes_equal(stack, collection, PATIENCE).await;
    let held = node_records(&stack.nodes[1].url(), collection).await;
    let lost: Vec<&String> = written.iter().filter(|id| !held.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} acknowledged records are lost, as {:?}", lost.len(), lost.first());
    until(PATIENCE, "nothing is held", async || {
        let requests = &status(stack).await["requests"];
        ["in_flight", "queued", "body_bytes"].iter().all(|held| requests[held] == 0)
    })
    .await;
    upsert_like(&stack.url(), id).await;
}

async fn upsert_like(url: &str, id: &str) {
    let body = json!({"ids": ["after"], "embeddings": [vec![1.0; 128]], "documents": ["there"]});
    let (status, answer) = records(url, id, "upsert", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(document(url, id, "after").await, "there");
}

#[tokio::test]
async fn ten_times_more_clients_than_permits_with_a_slow_node() {
    let seconds = std::env::var("CHROMA_HA_OVERLOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    let mut options = Options { chaos: true, ..Options::default() };
    for (name, value) in [
        ("MAX_CONCURRENT_REQUESTS", PERMITS.to_string()),
        ("REQUEST_QUEUE_SIZE", PERMITS.to_string()),
        ("QUEUE_TIMEOUT", "5".to_owned()),
        ("MAX_BODY_MEMORY", BODY_MEMORY.to_string()),
        ("WAL_MEMORY_BYTES", LANES.to_string()),
        ("WORKERS", "2".to_owned()),
        ("CLIENT_TIMEOUT", "60".to_owned()),
    ] {
        options = options.env(name, &value);
    }
    let stack = Stack::start(options).await;
    let (url, pid) = (stack.url(), stack.balancer.pid().expect("a running balancer"));
    let id = create(&url, "flood").await;
    let seed = json!({"ids": ["seed"], "embeddings": [vec![1.0; 128]], "documents": ["there"]});
    assert_eq!(records(&url, &id, "upsert", &seed).await.0, 200);
    let begun = resident(pid);
    let slow = Mode::Delay { each_way: Duration::from_millis(100), jitter: Duration::from_millis(100) };
    stack.links().nodes[1].set(slow).await;
    let flood = Flood::over(&url, &id, BODY);
    let mut tasks: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(Arc::clone(&flood).write(n, usize::MAX))).collect();
    tasks.extend((0..READERS).map(|_| tokio::spawn(Arc::clone(&flood).read())));
    tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(SECONDS))).await;
    flood.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a client's task");
    }
    stack.links().heal().await;
    let (peak, allowed) = (peak(pid), allowed(begun, BODY_MEMORY, WRITERS + READERS));
    let written = flood.told("overload", (begun, peak, allowed));
    assert!(peak <= allowed, "{} MiB", peak / MIB);
    assert!(!written.is_empty(), "some were taken");
    assert_as_before(&stack, "flood", &id, &written).await;
}

#[tokio::test]
async fn huge_bodies_of_many_clients_at_once_do_not_fill_the_memory() {
    const CLIENTS: usize = 60;
    const HUGE: usize = 10 << 20;
    const MEMORY: u64 = 32 * MIB;
    let options = Options::default().env("MAX_BODY_MEMORY", &MEMORY.to_string());
    let options = options
        .env("WAL_MEMORY_BYTES", &LANES.to_string())
        .env("QUEUE_TIMEOUT", "10")
        .env("CLIENT_TIMEOUT", "60");
    let stack = Stack::start(options).await;
    let (url, pid) = (stack.url(), stack.balancer.pid().expect("a running balancer"));
    let id = create(&url, "huge").await;
    upsert_like(&url, &id).await;
    let begun = resident(pid);
    let flood = Flood::over(&url, &id, HUGE);
    let tasks: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(Arc::clone(&flood).write(n, 1))).collect();
    for task in tasks {
        task.await.expect("a client's task");
    }
    let allowed = allowed(begun, MEMORY, CLIENTS);
    let written = flood.told("huge bodies", (begun, peak(pid), allowed));
    assert!(allowed < (CLIENTS * HUGE) as u64, "all of them would be more");
    assert!(peak(pid) <= allowed, "{} MiB", peak(pid) / MIB);
    assert_as_before(&stack, "huge", &id, &written).await;
}
