//! How do the changes of one `record` become one transaction? It refuses to mix in `Completed`, which
//! runs after it in batches: a backlog of 200,000 rows must not become one long transaction.

use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::ids::Seq;
use chroma_ha_core::port::{Change, StoreError};
use tokio_postgres::{Client, Transaction};

use super::pool::fault;
use super::{
    audit, catalog, conversions, copies, doubts, entries, failovers, lease, letters, orders, outcomes,
    quarantine,
};

/// Changes whose order does not matter, gathered so that each kind takes one statement.
#[derive(Default)]
struct Bulk<'a> {
    effects: Vec<(Seq, &'a Effect)>,
    rejected: Vec<(Seq, &'a str)>,
    attempts: Vec<(Seq, u32, &'a str)>,
    mappings: catalog::Mappings<'a>,
    cursors: catalog::Cursors<'a>,
}

impl<'a> Bulk<'a> {
    fn of(changes: &'a [Change]) -> Bulk<'a> {
        let mut bulk = Bulk::default();
        for change in changes {
            match change {
                Change::Effect { seq, effect } => bulk.effects.push((*seq, effect)),
                Change::Rejected { seq, reason } => bulk.rejected.push((*seq, reason)),
                Change::Attempts { seq, retries, error } => bulk.attempts.push((*seq, *retries, error)),
                Change::Mapped { node, collection, node_collection } => {
                    bulk.mappings.insert((node, *collection), *node_collection);
                }
                Change::Cursor { node, seq } => {
                    let cursor = bulk.cursors.entry(node).or_default();
                    cursor.0 = cursor.0.max(*seq);
                }
                Change::CatalogCursor { node, seq } => {
                    let cursor = bulk.cursors.entry(node).or_default();
                    cursor.1 = cursor.1.max(*seq);
                }
                // One by one: `apply` names every kind.
                _ => {}
            }
        }
        bulk
    }
}

/// How far `changes` complete entries.
pub(super) fn completed(changes: &[Change]) -> Option<Seq> {
    let through = |change: &Change| match change {
        Change::Completed { through } => Some(*through),
        _ => None,
    };
    changes.iter().filter_map(through).max()
}

pub(super) async fn commit(client: &mut Client, epoch: i64, changes: &[Change]) -> Result<(), StoreError> {
    if changes.iter().all(|change| matches!(change, Change::Completed { .. })) {
        return Ok(());
    }
    let tx = client.transaction().await.map_err(fault)?;
    lease::fence(&tx, epoch).await?;
    let bulk = Bulk::of(changes);
    if !bulk.effects.is_empty() {
        entries::set_effects(&tx, &bulk.effects, false).await?;
    }
    if !bulk.rejected.is_empty() {
        entries::reject(&tx, &bulk.rejected).await?;
    }
    if !bulk.attempts.is_empty() {
        entries::set_attempts(&tx, &bulk.attempts).await?;
    }
    for change in changes {
        apply(&tx, epoch, change).await?;
    }
    if !bulk.mappings.is_empty() {
        catalog::map(&tx, &bulk.mappings).await?;
    }
    for change in changes {
        // Of the mapping that was just made.
        if let Change::OtherIds { node, collection } = change {
            conversions::mark(&tx, node, *collection).await?;
        }
    }
    if !bulk.cursors.is_empty() {
        catalog::advance(&tx, &bulk.cursors).await?;
    }
    let opened = changes.iter().any(|change| matches!(change, Change::DeadLetter { .. }));
    if opened || !bulk.cursors.is_empty() {
        letters::fail(&tx).await?;
    }
    tx.commit().await.map_err(fault)
}

/// One change that takes statements of its own, at its place among the others.
async fn apply(tx: &Transaction<'_>, epoch: i64, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::CatalogAccepted { seq, effect, moves } => {
            entries::set_effects(tx, &[(*seq, effect)], true).await?;
            apply_moves(tx, moves).await?;
            if moves.iter().any(Move::deletes) {
                letters::close_deleted(tx).await?;
                quarantine::forget_deleted(tx).await?;
            }
            Ok(())
        }
        Change::Adopted { moves } => apply_moves(tx, moves).await,
        Change::Accepted { seq } => entries::accept(tx, *seq).await,
        Change::Converted { node, seq, ids } => conversions::keep(tx, node, *seq, ids).await,
        Change::Outcome { seq, answer } => outcomes::keep(tx, *seq, answer).await,
        Change::Joined { node, seq } => catalog::join(tx, node, *seq).await,
        Change::Copying { node, collection, node_collection } => {
            copies::copying(tx, node, collection.0, *node_collection).await
        }
        Change::CopyBegun { node, collection, node_collection, position } => {
            copies::begun(tx, node, collection.0, *node_collection, *position).await
        }
        Change::Doubted { node, stream, first } => doubts::set(tx, node, *stream, *first).await,
        Change::Rewound { node, seq } => catalog::rewind(tx, node, *seq).await,
        Change::NodeState { node, from, to, reason } => {
            failovers::add(tx, epoch, [node, from, to, reason]).await
        }
        Change::Quarantined { node, collection, reason } => {
            quarantine::set(tx, node, collection.0, reason.as_deref()).await
        }
        Change::DeadLetter { letter } => letters::open(tx, letter).await,
        Change::LettersClosed { node, letters, how } => letters::close(tx, node, *letters, *how).await,
        Change::Drained { node, order } => orders::drain(tx, node, *order).await,
        Change::Preferred { node } => orders::prefer(tx, node.as_deref()).await,
        Change::Audited { deed } => audit::add(tx, deed).await,
        // Gathered, or done after the others.
        Change::Effect { .. }
        | Change::Rejected { .. }
        | Change::Attempts { .. }
        | Change::Mapped { .. }
        | Change::OtherIds { .. }
        | Change::Cursor { .. }
        | Change::CatalogCursor { .. }
        | Change::Completed { .. } => Ok(()),
    }
}

async fn apply_moves(tx: &Transaction<'_>, moves: &[Move]) -> Result<(), StoreError> {
    for step in moves {
        catalog::apply(tx, step).await?;
    }
    Ok(())
}
