//! One collection of many records, written all over while something happens to its nodes: records are
//! deleted, brought back, changed and added, and each write is read back at once. It knows what every
//! record must be in the end, and causes no fault itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::client::try_request;
use super::nodes::{assert_nodes_equal, collections_url, read};
use super::{Stack, post};

/// Records filled in with one request.
const BATCH: usize = 500;
/// Between two writes of a writer, so that the load is steady and leaves a node room to catch up.
const PAUSE: Duration = Duration::from_millis(50);
const SHOWN: usize = 5;

#[derive(Default)]
struct Book {
    /// Which write each record shows last; `None`: it is deleted.
    records: BTreeMap<usize, Option<u64>>,
    writes: usize,
    failed: Vec<String>,
    /// Reads that did not show the write just acknowledged.
    wrong: Vec<String>,
}

struct Shared {
    records: String,
    dimensions: usize,
    patient: bool,
    book: Mutex<Book>,
    stop: AtomicBool,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("a book that no test tore")
    }
}

pub(crate) struct Churn {
    name: String,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

fn id(number: usize) -> String {
    format!("r{number:07}")
}

/// The same for the same record and write.
fn embedding(number: usize, version: u64, dimensions: usize) -> Vec<f32> {
    let mut chance = number as u64 * 1_000_003 + version;
    let mut draw = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 40) as f32 / (1 << 24) as f32
    };
    (0..dimensions).map(|_| draw()).collect()
}

fn body(numbers: &[usize], version: u64, dimensions: usize) -> Value {
    json!({
        "ids": numbers.iter().map(|n| id(*n)).collect::<Vec<_>>(),
        "embeddings": numbers.iter().map(|n| embedding(*n, version, dimensions)).collect::<Vec<_>>(),
        "metadatas": numbers.iter().map(|n| json!({"number": n, "version": version})).collect::<Vec<_>>(),
        "documents": numbers.iter().map(|n| format!("record {n}, write {version}")).collect::<Vec<_>>(),
    })
}

impl Churn {
    /// A collection with so many records.
    pub(crate) async fn filled(stack: &Stack, name: &str, count: usize, dimensions: usize) -> Self {
        let base = collections_url(&stack.url());
        let (status, made) = post(&base, &json!({"name": name})).await;
        assert_eq!(status, 200, "{made}");
        let records = format!("{base}/{}", made["id"].as_str().expect("an id"));
        let all: Vec<usize> = (0..count).collect();
        for chunk in all.chunks(BATCH) {
            let (status, answer) = post(&format!("{records}/add"), &body(chunk, 0, dimensions)).await;
            assert_eq!(status, 201, "{answer}");
        }
        let book = Book { records: all.into_iter().map(|n| (n, Some(0))).collect(), ..Book::default() };
        let (book, stop) = (Mutex::new(book), AtomicBool::new(false));
        let shared = Arc::new(Shared { records, dimensions, patient: false, book, stop });
        Self { name: name.to_owned(), shared, tasks: Vec::new() }
    }

    /// A write that is not acknowledged is sent again until it is, and is no failure.
    pub(crate) fn patient(mut self) -> Self {
        Arc::get_mut(&mut self.shared).expect("no writer yet").patient = true;
        self
    }

    /// Writers begin; each has every so manieth record to itself.
    pub(crate) fn start(&mut self, writers: usize) {
        let turns = self.shared.book().records.len().div_ceil(writers);
        let writer = |n| Writer {
            number: n,
            writers,
            chance: n as u64,
            fresh: turns * writers + n,
            shared: Arc::clone(&self.shared),
        };
        self.tasks.extend((0..writers).map(|n| tokio::spawn(writer(n).write())));
    }

    pub(crate) fn writes(&self) -> usize {
        self.shared.book().writes
    }

    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Nothing failed, every write was seen at once, and every node holds every record as it must be.
    pub(crate) async fn end(mut self, stack: &Stack, deadline: Duration) {
        self.stop();
        for task in std::mem::take(&mut self.tasks) {
            task.await.expect("a writer");
        }
        let begun = Instant::now();
        {
            let book = self.shared.book();
            let shown = |lines: &[String]| lines[..lines.len().min(SHOWN)].to_vec();
            println!(
                "{} writes, {} failed, {} not seen at once",
                book.writes,
                book.failed.len(),
                book.wrong.len()
            );
            assert!(
                book.wrong.is_empty(),
                "{} writes were not seen: {:#?}",
                book.wrong.len(),
                shown(&book.wrong)
            );
            assert!(
                book.failed.is_empty(),
                "{} requests failed: {:#?}",
                book.failed.len(),
                shown(&book.failed)
            );
        }
        assert_nodes_equal(stack, &self.name, deadline).await;
        println!(
            "{}: every node holds the same {} ms after the last write",
            self.name,
            begun.elapsed().as_millis()
        );
        for node in &stack.nodes {
            let held = read(&node.url(), &self.name).await.expect("the node's records");
            let book = self.shared.book();
            let due = book.records.iter().filter_map(|(n, version)| Some((id(*n), (*version)?)));
            let due: BTreeMap<String, u64> = due.collect();
            let shown = |record: &super::Record| record.1["version"].as_u64();
            let wrong: Vec<String> = due
                .iter()
                .filter(|(id, version)| held.get(*id).and_then(shown) != Some(**version))
                .map(|(id, version)| format!("{id} is {:?}, not {version}", held.get(id).map(|r| &r.1)))
                .chain(held.keys().filter(|id| !due.contains_key(*id)).map(|id| format!("{id} is back")))
                .collect();
            assert!(
                wrong.is_empty(),
                "{}: {} records: {:#?}",
                node.name(),
                wrong.len(),
                &wrong[..wrong.len().min(SHOWN)]
            );
        }
    }
}

struct Writer {
    number: usize,
    writers: usize,
    chance: u64,
    /// The next of its own that nobody has had.
    fresh: usize,
    shared: Arc<Shared>,
}

impl Writer {
    fn draw(&mut self, below: usize) -> usize {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % below
    }

    /// One of its own, of all that there ever were.
    fn own(&mut self) -> usize {
        let turns = self.fresh / self.writers;
        self.draw(turns) * self.writers + self.number
    }

    async fn write(mut self) {
        for version in 1.. {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let numbers: Vec<usize> = match self.draw(4) {
                0 => (0..3).map(|_| self.own()).collect(),
                1 => {
                    self.fresh += self.writers;
                    vec![self.fresh - self.writers]
                }
                _ => vec![self.own()],
            };
            let numbers: Vec<usize> = std::collections::BTreeSet::from_iter(numbers).into_iter().collect();
            let (verb, body, after) = match numbers.len() {
                1 if self.draw(5) > 0 => {
                    ("upsert", body(&numbers, version, self.shared.dimensions), Some(version))
                }
                _ => ("delete", json!({"ids": numbers.iter().map(|n| id(*n)).collect::<Vec<_>>()}), None),
            };
            if self.acknowledged(verb, &body).await.is_none() {
                return;
            }
            {
                let mut book = self.shared.book();
                book.writes += 1;
                book.records.extend(numbers.iter().map(|n| (*n, after)));
            }
            self.look(&numbers, after).await;
            sleep(PAUSE).await;
        }
    }

    async fn acknowledged(&self, verb: &str, body: &Value) -> Option<Value> {
        let url = format!("{}/{verb}", self.shared.records);
        loop {
            let reason = match try_request(Method::POST, &url, Some(body)).await {
                Ok((200..=299, answer)) => return Some(answer),
                Ok((status, answer)) => format!("{verb}: {status} {answer}"),
                Err(reason) => format!("{verb}: {reason:?}"),
            };
            if !self.shared.patient {
                self.shared.book().failed.push(reason);
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    /// What was just acknowledged must show, whichever node answers.
    async fn look(&self, numbers: &[usize], after: Option<u64>) {
        let ids: Vec<String> = numbers.iter().map(|n| id(*n)).collect();
        let body = json!({"ids": ids, "include": ["metadatas"]});
        let Some(page) = self.acknowledged("get", &body).await else { return };
        let found = page["ids"].as_array().map_or(0, Vec::len);
        let shown = page["metadatas"][0]["version"].as_u64();
        if (after.is_none() && found > 0) || (after.is_some() && shown != after) {
            self.shared.book().wrong.push(format!("{ids:?} after {after:?}: {page}"));
        }
    }
}
