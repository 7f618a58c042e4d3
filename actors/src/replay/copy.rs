//! One collection copied onto a node, from a node that has it, while writes go on. Each record is read
//! in a state at or after the copy's position; the node's lane then replays from that position, and
//! replaying a suffix of the log again ends in the same state.

use std::time::Instant;

use chroma_ha_core::catalog::Collection;
use chroma_ha_core::operator::{Closing, Letters};
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::{CopyFailure, CopyTask};
use tracing::{info, warn};
use uuid::Uuid;

use super::apply::Delivery;
use super::peer::{Described, PeerError, records_path};
use crate::board::{CopyProgress, DeleteWatch};

mod likeness;
mod records;
mod room;
mod twins;

use records::{Done, Ids, Side, transfer};
use room::Room;

/// What to do where a node holds other data under the same name and nobody knows whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Leave it, serve the collection from elsewhere, say so.
    #[default]
    Report,
    /// The primary's contents replace it.
    PrimaryWins,
}

/// Copies, and tells the sequencer. `losses`: how often each node had lost its standing before. The loss
/// of the source ends what is asked of it, not what is being written to the node: that is waited for.
pub async fn copy(delivery: Delivery, task: CopyTask, losses: Vec<u64>) {
    let node = delivery.node;
    let mut open = Open { delivery: &delivery, task: &task, begun: Instant::now(), closed: false };
    info!(%node, collection = %task.collection, source = %task.source, position = %task.position, "copying a collection");
    let made = tokio::select! {
        biased;
        () = delivery.board.lost(node, losses[node.0]) => Err(PeerError::Conflict("the node was lost meanwhile".to_owned())),
        made = make(&delivery, &task, losses[task.source.0]) => made,
    };
    open.close(made);
}

/// A copy that ends by a panic or a dropped future must not keep its node waiting for ever.
struct Open<'a> {
    delivery: &'a Delivery,
    task: &'a CopyTask,
    begun: Instant,
    closed: bool,
}

impl Open<'_> {
    fn close(&mut self, made: Result<Made, PeerError>) {
        self.closed = true;
        let (node, collection) = (self.delivery.node, self.task.collection);
        let seconds = self.begun.elapsed().as_secs_f64();
        let own = match made {
            Ok(Made { own, done, same }) => {
                let copied = done.records - done.found;
                let records_per_second = (copied as f64 / seconds.max(0.001)).round();
                info!(%node, %collection, source = %self.task.source, records = done.records, copied, same, seconds, records_per_second, "collection copied");
                Ok(own)
            }
            Err(error) => {
                warn!(%node, %collection, %error, seconds, "copying the collection failed; it stays away from this node");
                let in_doubt = self.delivery.leave_in_doubt(&error);
                let reason = error.to_string();
                Err(if in_doubt { CopyFailure::InDoubt(reason) } else { CopyFailure::Broken(reason) })
            }
        };
        let made = own.is_ok();
        if !self.tell(own) && made {
            warn!(%node, %collection, "the copy came too late to count; it is made again");
        }
    }

    fn tell(&self, own: Result<Uuid, CopyFailure>) -> bool {
        let board = &self.delivery.board;
        board.set_copy(self.delivery.node, None);
        let now_ms = board.now_ms();
        let counted = board.sequencer().copied(self.delivery.node, self.task, own, now_ms);
        board.wake_all();
        counted
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.delivery.broke_off();
            self.tell(Err(CopyFailure::InDoubt("the copy broke off".to_owned())));
        }
    }
}

struct Made {
    own: Uuid,
    done: Done,
    /// The node held the same already.
    same: bool,
}

/// What is copied.
struct Original<'a> {
    place: Collection,
    described: Described,
    side: Side<'a>,
}

impl<'a> Original<'a> {
    async fn of(delivery: &'a Delivery, task: &CopyTask, losses: u64) -> Result<Original<'a>, PeerError> {
        let gone = || PeerError::Conflict("the collection was deleted meanwhile".to_owned());
        let place =
            delivery.board.sequencer().catalog.collection(task.collection).cloned().ok_or_else(gone)?;
        let peer = delivery.source(task.source, losses);
        let described =
            peer.collection(&place.tenant, &place.database, &place.name).await?.ok_or_else(gone)?;
        let theirs = delivery.board.sequencer().node_collection(task.source, task.collection);
        if theirs != Some(described.id) {
            return Err(PeerError::Conflict("the source holds another collection of this name".to_owned()));
        }
        let path = records_path(&place.tenant, &place.database, described.id);
        Ok(Original { place, described, side: Side { peer, path } })
    }

    fn deletes(&self, delivery: &Delivery, task: &CopyTask) -> DeleteWatch {
        delivery.board.watch_deletes(task.source, self.described.id)
    }
}

/// `losses`: of the source.
async fn make(delivery: &Delivery, task: &CopyTask, losses: u64) -> Result<Made, PeerError> {
    let original = Original::of(delivery, task, losses).await?;
    let place = &original.place;
    let target = delivery.peer(delivery.node);
    let total = original.side.peer.count(&original.side.path).await?;
    let (own, resumed) = match room::make(delivery, task, &original, &target).await? {
        room @ (Room::Same(own) | Room::Twins(own)) => {
            finish(delivery, task, own, matches!(room, Room::Twins(_))).await?;
            let done = Done { records: total, found: total };
            return Ok(Made { own, done, same: true });
        }
        Room::Begun(own) => {
            info!(node = %delivery.node, collection = %task.collection, "the copy goes on where it broke off");
            (own, true)
        }
        Room::Free => (room::create(delivery, task, &target, place, &original.described).await?, false),
    };
    let to = Side { peer: target, path: records_path(&place.tenant, &place.database, own) };
    let progress = CopyProgress {
        collection: task.collection,
        source: task.source,
        begun: Instant::now(),
        done: 0,
        found: 0,
        total,
    };
    let show = |done: Done| {
        let progress = CopyProgress { done: done.records, found: done.found, ..progress };
        delivery.board.set_copy(delivery.node, Some(progress));
        // Between two requests: nothing is left in doubt, and the copy goes on once the node is back.
        let leaves = || PeerError::Conflict("the node is taken out by an operator".to_owned());
        if delivery.board.is_taken_out(delivery.node) { Err(leaves()) } else { Ok(()) }
    };
    show(Done::default())?;
    let ids = Ids::of(&original.side, Some(original.deletes(delivery, task)));
    let done = transfer(&original.side, &to, ids, resumed, show).await?;
    finish(delivery, task, own, false).await?;
    Ok(Made { own, done, same: false })
}

async fn finish(delivery: &Delivery, task: &CopyTask, own: Uuid, other_ids: bool) -> Result<(), PeerError> {
    let (node, collection) = (delivery.node.name(), task.collection);
    let mut changes = vec![
        Change::Mapped { node: node.clone(), collection, node_collection: Some(own) },
        Change::Copying { node: node.clone(), collection, node_collection: None },
        Change::LettersClosed {
            node: node.clone(),
            letters: Letters::Collection(collection),
            how: Closing::Rebuilt,
        },
        Change::Quarantined { node: node.clone(), collection, reason: None },
    ];
    if other_ids {
        warn!(node, %collection, "the node holds the same documents under other record ids: it follows the log and is not read");
        changes.push(Change::OtherIds { node, collection });
    }
    delivery.record(changes).await.map_err(|_| PeerError::LogAway)?;
    delivery.board.sequencer().set_other_ids(delivery.node, collection, other_ids);
    Ok(())
}
