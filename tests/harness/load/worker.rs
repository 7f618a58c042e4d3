//! One client: a writer with records of its own, or a reader. It sends what chance says and tells the
//! book what it heard; a wrong answer to a read is noted the moment it comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::model::{Op, State, Trail, embedding, row};
use super::{Book, COLLECTIONS, Shared};
use crate::harness::client::Answer;
use crate::harness::nodes::record;

/// Few, so that writes meet.
const IDS_OF_A_WRITER: u64 = 3;
/// Before a client tries again what was not acknowledged.
const PAUSE: Duration = Duration::from_millis(50);

const MIX: [Op; 8] =
    [Op::Upsert, Op::Upsert, Op::Upsert, Op::Add, Op::Update, Op::Update, Op::Delete, Op::DeleteWhere];

pub(super) struct Worker {
    number: usize,
    collection: usize,
    chance: u64,
    shared: Arc<Shared>,
}

impl Worker {
    pub(super) fn new(number: usize, shared: &Arc<Shared>) -> Self {
        let chance = 0x9E37_79B9_7F4A_7C15 ^ number as u64;
        Self { number, collection: number % COLLECTIONS, chance, shared: Arc::clone(shared) }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below
    }

    fn path(&self, verb: &str) -> String {
        format!("{}/{verb}", self.shared.collections[self.collection])
    }

    /// One request after the other; what was not acknowledged is sent again until it is, or until
    /// the end.
    pub(super) async fn write(mut self) {
        for number in 1.. {
            let which = self.draw(IDS_OF_A_WRITER);
            let id = format!("w{}-{which}", self.number);
            let op = MIX[usize::try_from(self.draw(MIX.len() as u64)).unwrap_or_default()];
            let key = (self.collection, id.clone());
            let after = self.shared.book().trails.entry(key.clone()).or_default().sent(op, number);
            while self.ask(op.verb(), &op.body(&id, number)).await.is_none() {
                if !self.shared.goes_on() {
                    return;
                }
                sleep(PAUSE).await;
            }
            let mut book = self.shared.book();
            book.trails.entry(key).or_default().acknowledged(after);
            book.writes.push(Instant::now());
            drop(book);
            if !self.shared.goes_on() {
                return;
            }
        }
    }

    /// Looks at the records of one writer after the other.
    pub(super) async fn read(mut self, writers: usize) {
        while self.shared.goes_on() {
            let sought = self.draw(writers.div_ceil(COLLECTIONS) as u64);
            let writer = usize::try_from(sought).unwrap_or_default() * COLLECTIONS + self.collection;
            let ids: Vec<String> = (0..IDS_OF_A_WRITER).map(|n| format!("w{writer}-{n}")).collect();
            let collection = self.collection;
            let place = |id: &String| {
                let key = (collection, id.clone());
                self.shared.book().trails.entry(key).or_default().place()
            };
            let places: Vec<usize> = ids.iter().map(place).collect();
            let body = json!({"ids": ids, "include": ["embeddings", "metadatas", "documents", "uris"]});
            let turn = self.draw(4);
            let answer = match turn {
                0 => self.ask("query", &json!({"query_embeddings": [embedding(7)], "n_results": 3})).await,
                _ => self.ask("get", &body).await.inspect(|page| self.look(&ids, &places, page)),
            };
            match answer {
                Some(_) => self.shared.book().reads.push(Instant::now()),
                None => sleep(PAUSE).await,
            }
        }
    }

    fn look(&self, ids: &[String], places: &[usize], page: &Value) {
        let mut book = self.shared.book();
        let found = page["ids"].as_array().map_or(&[][..], Vec::as_slice);
        let trail = |book: &Book, id: &String| book.trails.get(&(self.collection, id.clone())).cloned();
        let trails: Vec<Trail> = ids.iter().map(|id| trail(&book, id).unwrap_or_default()).collect();
        // Chroma shows a record that is being added or deleted without its embedding.
        let torn = page["embeddings"].as_array().map(Vec::len) != Some(found.len());
        if torn && trails.iter().zip(places).any(|(trail, place)| trail.admits(*place, &None)) {
            return;
        }
        for ((id, place), trail) in ids.iter().zip(places).zip(&trails) {
            let at = found.iter().position(|f| f == id);
            let shown: Option<State> =
                at.map_or(Some(None), |at| record(page, at).ok().and_then(|r| row(&r)).map(Some));
            if !shown.as_ref().is_some_and(|state| trail.admits(*place, state)) {
                let line = format!("{id} was shown as {shown:?}, may be one of {:?}: {page}", trail.now());
                book.wrong.push(line);
            }
        }
    }

    /// The body of a 2xx; anything else is noted.
    async fn ask(&self, verb: &str, body: &Value) -> Option<Value> {
        let begun = Instant::now();
        let answer = self.shared.router.exchange(Method::POST, &self.path(verb), Some(body)).await;
        let mut book = self.shared.book();
        book.slowest = book.slowest.max(begun.elapsed());
        match answer {
            Ok(Answer { status: 200..=299, body, .. }) => return Some(body),
            Ok(Answer { status, headers, body }) => {
                book.asked_to_wait += usize::from(status == 503 && headers.contains_key("retry-after"));
                book.failed.push(format!("{verb} after {:?}: {status} {body}", begun.elapsed()));
            }
            Err(_) if book.closing.is_some_and(|closing| begun >= closing) => book.turned_away += 1,
            Err(reason) => book.failed.push(format!("{verb} after {:?}: {reason:?}", begun.elapsed())),
        }
        None
    }
}
