//! The records of one collection, carried from one node to another: ids in pages, records by ids, the next
//! ones read while the present ones are written. It decides nothing about the collection itself.

use std::time::Instant;

use chroma_ha_core::listing::{Listing, Turn};
use chroma_ha_core::portion::Portion;
use serde_json::json;

use super::super::contents::Records;
use super::super::peer::{Peer, PeerError};
use crate::board::DeleteWatch;

/// Ids listed with one request.
pub(in crate::replay) const IDS: usize = 10_000;

/// One node's side of a collection.
pub(in crate::replay) struct Side<'a> {
    pub(in crate::replay) peer: Peer<'a>,
    /// The path below which its records are.
    pub(in crate::replay) path: String,
}

impl Side<'_> {
    pub(in crate::replay) async fn records(&self, ids: &[String]) -> Result<Records, PeerError> {
        self.peer.records(&self.path, ids).await
    }

    pub(in crate::replay) async fn held(
        &self,
        ids: &[String],
    ) -> Result<std::collections::HashSet<String>, PeerError> {
        self.peer.held(&self.path, ids).await
    }

    async fn add(&self, records: &Records) -> Result<(), PeerError> {
        if records.ids.is_empty() {
            return Ok(());
        }
        let path = format!("{}/add", self.path);
        self.peer.change("adding copied records", "POST", path, Some(body(records))).await.map(drop)
    }

    pub(in crate::replay) async fn delete(&self, ids: &[String]) -> Result<(), PeerError> {
        let (path, body) = (format!("{}/delete", self.path), json!({ "ids": ids }).to_string());
        self.peer.change("deleting what a copy replaces", "POST", path, Some(body)).await.map(drop)
    }
}

/// The records as they were answered, as an `add`.
fn body(records: &Records) -> String {
    let mut body = format!("{{\"ids\":{}", json!(records.ids));
    let columns = [
        ("embeddings", &records.embeddings),
        ("metadatas", &records.metadatas),
        ("documents", &records.documents),
        ("uris", &records.uris),
    ];
    for (name, column) in columns {
        if let Some(column) = column.as_ref().filter(|raw| raw.get() != "null") {
            body.push_str(&format!(",\"{name}\":{}", column.get()));
        }
    }
    body.push('}');
    body
}

/// The ids of a collection, page by page, while it is written. Whoever is there all the time comes at
/// least once.
pub(in crate::replay) struct Ids<'a> {
    side: &'a Side<'a>,
    deletes: Option<DeleteWatch>,
    listing: Listing,
    ended: bool,
}

impl<'a> Ids<'a> {
    /// `deletes`: of the collection on its node; none where nobody writes.
    pub(in crate::replay) fn of(side: &'a Side<'a>, deletes: Option<DeleteWatch>) -> Ids<'a> {
        Ids { side, deletes, listing: Listing::new(IDS), ended: false }
    }

    pub(in crate::replay) async fn next(&mut self) -> Result<Option<Vec<String>>, PeerError> {
        while !self.ended {
            let before = self.deletes.as_ref().map(DeleteWatch::now).unwrap_or_default();
            let offset = self.listing.offset(before);
            let ids = self.side.peer.ids(&self.side.path, self.listing.limit(), offset).await?;
            let after = self.deletes.as_ref().map(DeleteWatch::now).unwrap_or_default();
            match self.listing.take(offset, ids.len(), before, after) {
                Turn::Again => continue,
                Turn::More => {}
                Turn::End => self.ended = true,
            }
            return Ok(Some(ids));
        }
        Ok(None)
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) records: usize,
    /// Of these, the ones that were there already.
    pub(super) found: usize,
}

/// Brings every record over, for as long as `progress` agrees. `resumed`: the target may hold some already.
pub(super) async fn transfer(
    from: &Side<'_>,
    to: &Side<'_>,
    mut ids: Ids<'_>,
    resumed: bool,
    mut progress: impl FnMut(Done) -> Result<(), PeerError>,
) -> Result<Done, PeerError> {
    let mut portion = Portion::new(to.peer.checks().await?.max_batch_size);
    let mut done = Done::default();
    while let Some(page) = ids.next().await? {
        let held = if resumed { to.held(&page).await? } else { Default::default() };
        done.found += held.len();
        done.records += held.len();
        progress(done)?;
        let wanted: Vec<String> = page.into_iter().filter(|id| !held.contains(id)).collect();
        carry(from, to, &wanted, &mut portion, |count| {
            done.records += count;
            progress(done)
        })
        .await?;
    }
    Ok(done)
}

/// Brings these records over, in portions, for as long as `carried` agrees.
pub(in crate::replay) async fn carry(
    from: &Side<'_>,
    to: &Side<'_>,
    mut ids: &[String],
    portion: &mut Portion,
    mut carried: impl FnMut(usize) -> Result<(), PeerError>,
) -> Result<(), PeerError> {
    let mut read: Option<(&[String], Records)> = None;
    while !ids.is_empty() || read.is_some() {
        let (chunk, rest) = ids.split_at(portion.size().min(ids.len()));
        ids = rest;
        let reading = async {
            if chunk.is_empty() { Ok(None) } else { from.records(chunk).await.map(|r| Some((chunk, r))) }
        };
        let writing = async {
            let Some((chunk, records)) = &read else { return Ok(None) };
            let started = Instant::now();
            write(from, to, chunk, records).await?;
            Ok(Some((records.ids.len(), started.elapsed())))
        };
        // Whatever became of the reading, what is being written is waited for.
        let (next, written) = tokio::join!(reading, writing);
        let written = written?;
        read = next?;
        if let Some((count, took)) = written {
            portion.took(count, took);
            carried(count)?;
        }
    }
    Ok(())
}

/// Adds records, in halves where a request would be too large for the node.
async fn write(from: &Side<'_>, to: &Side<'_>, ids: &[String], records: &Records) -> Result<(), PeerError> {
    let too_large = |error: &PeerError| matches!(error, PeerError::Refused { status: 413, .. });
    match to.add(records).await {
        Err(error) if too_large(&error) && ids.len() > 1 => {}
        done => return done,
    }
    let (front, back) = ids.split_at(ids.len() / 2);
    let mut waiting = vec![back, front];
    while let Some(ids) = waiting.pop() {
        match to.add(&from.records(ids).await?).await {
            Err(error) if too_large(&error) && ids.len() > 1 => {
                let (front, back) = ids.split_at(ids.len() / 2);
                waiting.extend([back, front]);
            }
            done => done?,
        }
    }
    Ok(())
}
