//! What do two nodes hold of a collection? Read in pages, never a whole collection at once, and judged
//! record by record by `core::likeness`. It changes nothing and does not know whether writes go on:
//! what it finds different may be a write on its way.

use std::collections::HashSet;
use std::time::Duration;

use chroma_ha_core::likeness;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::replay::contents::{Records, by_id};
use crate::replay::peer::{Peer, PeerError, read};

/// Records read with one request to each node.
pub(super) const PAGE: usize = 250;

/// Records of the page before that a page reads once more: deletions in between move what follows.
const OVERLAP: usize = 25;

/// How often a walk goes back because of that, before it takes what it gets.
const STEPS_BACK: usize = 100;

/// Suspects after which a walk ends early.
const SUSPECTS: usize = 2_000;

/// The least and the longest pause after a page. It lasts as long as the page took: a walk takes half
/// of one connection's time at most.
const PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// One node's collection: the node and the path below which the records are reached.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) peer: &'a Peer<'a>,
    pub(super) path: &'a str,
}

/// What a walk over a whole collection found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) records: u64,
    /// Records that differed when they were read: to be looked at again.
    pub(super) suspects: Vec<String>,
}

/// Those of the ids that the two hold differently at the moment. The ids fit into one page.
pub(super) async fn differing(
    left: Side<'_>,
    right: Side<'_>,
    ids: &[String],
) -> Result<Vec<String>, PeerError> {
    let (left, right) = tokio::join!(held(left, ids), held(right, ids));
    Ok(likeness::differing(ids, &left?, &right?))
}

/// Compares everything: each page of one side with the other, then the ids of the other that the first
/// may lack.
pub(super) async fn walk(left: Side<'_>, right: Side<'_>) -> Result<Walked, PeerError> {
    let mut walked = Walked::default();
    let mut there = Pages::default();
    let everything = json!(["embeddings", "metadatas", "documents", "uris"]);
    while let Some(page) = there.next(left, &everything).await? {
        let begun = Instant::now();
        let ids = page.ids.clone();
        let theirs = held(right, &ids).await?;
        let differing = likeness::differing(&ids, &by_id(page)?, &theirs);
        let fresh = differing.into_iter().filter(|id| !walked.suspects.contains(id));
        walked.suspects.extend(fresh.collect::<Vec<_>>());
        walked.records += there.fresh;
        if walked.suspects.len() > SUSPECTS {
            return Ok(walked);
        }
        pause(begun).await;
    }
    let mut there = Pages::default();
    while let Some(page) = there.next(right, &json!([])).await? {
        let begun = Instant::now();
        let known = left.peer.held(left.path, &page.ids).await?;
        let lacking = page.ids.into_iter().filter(|id| !known.contains(id));
        let lacking: Vec<String> = lacking.filter(|id| !walked.suspects.contains(id)).collect();
        walked.suspects.extend(lacking);
        if walked.suspects.len() > SUSPECTS {
            return Ok(walked);
        }
        pause(begun).await;
    }
    Ok(walked)
}

async fn pause(begun: Instant) {
    let [least, most] = PAUSE;
    tokio::time::sleep(begun.elapsed().clamp(least, most)).await;
}

/// A collection in pages, in the node's own order: new records come last, and what is deleted moves the
/// rest forward, so a page must show some of the page before, else it is read from further ahead.
#[derive(Default)]
struct Pages {
    offset: usize,
    seen: HashSet<String>,
    /// Records of the last page that the page before did not show.
    fresh: u64,
    ended: bool,
    steps_back: usize,
}

impl Pages {
    /// The next records, behind some of the page before.
    async fn next(&mut self, side: Side<'_>, include: &Value) -> Result<Option<Records>, PeerError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let from = self.offset.saturating_sub(OVERLAP);
            let ask = json!({ "limit": PAGE, "offset": from, "include": include });
            let page = side.peer.get("reading a page of records", side.path, &ask).await?;
            let continues = from == 0 || page.ids.iter().any(|id| self.seen.contains(id));
            if !continues && self.steps_back < STEPS_BACK {
                self.steps_back += 1;
                self.offset = self.offset.saturating_sub(PAGE);
                continue;
            }
            self.ended = page.ids.len() < PAGE;
            self.offset = from + page.ids.len();
            self.fresh = page.ids.iter().filter(|id| !self.seen.contains(*id)).count() as u64;
            self.seen = page.ids.iter().cloned().collect();
            return Ok((!page.ids.is_empty()).then_some(page));
        }
    }
}

/// What the node holds of these ids.
async fn held(side: Side<'_>, ids: &[String]) -> Result<likeness::Records, PeerError> {
    by_id(side.peer.records(side.path, ids).await?)
}

impl Peer<'_> {
    async fn get(&self, what: &'static str, records: &str, ask: &Value) -> Result<Records, PeerError> {
        let body = self.ask(what, "POST", format!("{records}/get"), Some(ask.to_string())).await?;
        read(what, &body)
    }
}
