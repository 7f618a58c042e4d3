//! Clients at work while servers fail: writers with records of their own, readers that look at them.
//! It knows what each record may be at any moment, says what clients met, and at the end compares
//! the records with every node, read directly. It causes no fault itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use super::client::exchange;
use super::nodes::{Records, collections_url, read};
use super::status::PATIENCE;
use super::{Stack, assert_nodes_equal, get, until};

mod model;
mod router;
mod worker;

use model::{Trail, row};
pub(crate) use router::Router;
use worker::Worker;

/// Streams of the log that are written side by side.
const COLLECTIONS: usize = 2;
/// Writes of each writer that make a round.
const ROUND: usize = 5;
const SHOWN: usize = 5;
const SEED: &str = "seed";

/// What clients met.
#[derive(Default)]
struct Book {
    trails: BTreeMap<(usize, String), Trail>,
    /// Requests that were not answered 2xx.
    failed: Vec<String>,
    /// Of those, 503 with `Retry-After`.
    asked_to_wait: usize,
    /// When the balancer was about to be asked to stop.
    closing: Option<Instant>,
    /// Requests begun after that which got no answer.
    turned_away: usize,
    /// Reads that showed what they must not.
    wrong: Vec<String>,
    writes: Vec<Instant>,
    reads: Vec<Instant>,
    slowest: Duration,
}

struct Shared {
    /// Per collection, the path below which its records are.
    collections: Vec<String>,
    router: Router,
    book: Mutex<Book>,
    stop: AtomicBool,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("a book that no test tore")
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

pub(crate) struct Load {
    shared: Arc<Shared>,
    prefix: String,
    writers: usize,
    tasks: Vec<JoinHandle<()>>,
}

/// Chroma answers reads that meet the very first write of a collection 500 ("Nothing found on disk"), with
/// or without a balancer; no promise is about that.
async fn seed(records: &str) {
    let body = json!({"ids": [SEED], "embeddings": [model::embedding(0)]});
    let sown = exchange(Method::POST, &format!("{records}/add"), Some(&body)).await.expect("an answer");
    assert_eq!(sown.status, 201, "{}", sown.body);
}

impl Load {
    /// Makes the collections and starts; clients with odd numbers use the second collection.
    pub(crate) async fn start(url: &str, writers: usize, readers: usize) -> Self {
        Self::start_in(url, "load", writers, readers).await
    }

    /// The same in collections of another name.
    pub(crate) async fn start_in(url: &str, prefix: &str, writers: usize, readers: usize) -> Self {
        Self::start_over(url, url, prefix, writers, readers).await
    }

    /// The same, asking another balancer than the one that made the collections.
    pub(crate) async fn start_over(
        url: &str,
        asked: &str,
        prefix: &str,
        writers: usize,
        readers: usize,
    ) -> Self {
        let base = collections_url(url);
        let mut collections = Vec::new();
        for at in 0..COLLECTIONS {
            let made = exchange(Method::POST, &base, Some(&json!({"name": format!("{prefix}-{at}")}))).await;
            let made = made.expect("an answer");
            assert_eq!(made.status, 200, "{}", made.body);
            let records = format!("{base}/{}", made.body["id"].as_str().expect("an id"));
            seed(&records).await;
            collections.push(records.strip_prefix(url).expect("a path there").to_owned());
        }
        until(PATIENCE, "every node has the seeds", async || {
            get(&format!("{url}/status")).await.1["write_ahead_log"]["pending_writes"] == 0
        })
        .await;
        let shared = Arc::new(Shared {
            collections,
            router: Router::to(asked),
            book: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let mut tasks: Vec<_> = (0..writers).map(|n| tokio::spawn(Worker::new(n, &shared).write())).collect();
        tasks.extend((0..readers).map(|n| tokio::spawn(Worker::new(n, &shared).read(writers))));
        Self { shared, prefix: prefix.to_owned(), writers, tasks }
    }

    /// From now on requests also go to the balancer there.
    pub(crate) fn also_to(&self, url: &str) {
        self.shared.router.add(url);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.book().writes.len()
    }

    /// Until every writer, on average, got some more writes acknowledged and as many reads were answered.
    pub(crate) async fn a_round(&self, deadline: Duration) {
        let of = |book: &Book| (book.writes.len(), book.reads.len());
        let (writes, reads) = of(&self.shared.book());
        let more = ROUND * self.writers;
        until(deadline, "the load makes progress", async || {
            let (now_writes, now_reads) = of(&self.shared.book());
            now_writes >= writes + more && now_reads >= reads + more
        })
        .await;
    }

    /// From now on a new connection may find nobody; what is under way must still be answered.
    pub(crate) fn closing(&self) {
        self.shared.book().closing = Some(Instant::now());
    }

    /// Not answered 2xx, and how many of them were 503 with `Retry-After`.
    pub(crate) fn failures(&self) -> (Vec<String>, usize) {
        let book = self.shared.book();
        (book.failed.clone(), book.asked_to_wait)
    }

    pub(crate) fn assert_nothing_failed(&self) {
        let (failed, _) = self.failures();
        let shown = &failed[..failed.len().min(SHOWN)];
        assert!(failed.is_empty(), "{} requests failed: {shown:#?}", failed.len());
    }

    pub(crate) fn reads_answered(&self) -> usize {
        self.shared.book().reads.len()
    }

    /// Says how long clients heard nothing at most since `begun`: for people, nothing is judged by it.
    pub(crate) fn print_gap(&self, what: &str, begun: Instant) {
        let book = self.shared.book();
        let gap = |answers: &[Instant]| {
            let since: Vec<_> =
                std::iter::once(begun).chain(answers.iter().copied().filter(|at| *at > begun)).collect();
            since.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default().as_millis()
        };
        println!(
            "{what}: no write answered for {} ms, no read for {} ms, slowest request {} ms; {} writes, {} reads",
            gap(&book.writes),
            gap(&book.reads),
            book.slowest.as_millis(),
            book.writes.len(),
            book.reads.len(),
        );
    }

    /// Ends the clients, then: reads showed nothing wrong, the nodes become equal, and every record on
    /// them is one that may be.
    pub(crate) async fn end(mut self, stack: &Stack, deadline: Duration) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            task.await.expect("a client's task");
        }
        let wrong = self.shared.book().wrong.clone();
        assert!(
            wrong.is_empty(),
            "{} reads were wrong: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(SHOWN)]
        );
        for at in 0..COLLECTIONS {
            let name = format!("{}-{at}", self.prefix);
            assert_nodes_equal(stack, &name, deadline).await;
            for node in &stack.nodes {
                let held = read(&node.url(), &name).await.expect("the node's records");
                self.judge(at, node.name(), &held);
            }
        }
    }

    fn judge(&self, collection: usize, node: &str, held: &Records) {
        let book = self.shared.book();
        let mut lines = Vec::new();
        for ((_, id), trail) in book.trails.iter().filter(|((at, _), _)| *at == collection) {
            let state = held.get(id).map(|record| row(record).ok_or(record)).transpose();
            if !state.as_ref().is_ok_and(|state| trail.now().contains(state)) {
                lines.push(format!("{id} is {state:?}, may be one of {:?}", trail.now()));
            }
        }
        let strange =
            held.keys().filter(|id| *id != SEED && !book.trails.contains_key(&(collection, (*id).clone())));
        lines.extend(strange.map(|id| format!("{id} was never written")));
        let count = lines.len();
        lines.truncate(SHOWN);
        assert!(count == 0, "{count} records of {node} are not what was acknowledged: {lines:#?}");
    }
}
