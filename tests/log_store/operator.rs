//! Is what operators do and must look at kept as promised: the audit, dead letters beside their entries,
//! quarantines that a restart finds again?

use std::cell::Cell;
use std::time::{Duration, Instant};

use chroma_ha::postgres::PgLog;
use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::Op;
use chroma_ha_core::ids::Seq;
use chroma_ha_core::operator::{AuditPage, Closing, DeadLetter, Deed, LetterPage, LetterState, Letters};
use chroma_ha_core::port::{Change, LogStore, StoreError};

use super::{Base, adds, all, collection, create, taken};

const REPLICA: &str = "replica-1";

fn cursor(node: &str, seq: u64) -> Change {
    Change::Cursor { node: node.to_owned(), seq: Seq(seq) }
}

fn joined(node: &str) -> Change {
    Change::Joined { node: node.to_owned(), seq: Seq::ZERO }
}

fn letter(seq: u64) -> Change {
    let letter = DeadLetter {
        node: REPLICA.to_owned(),
        seq: Seq(seq),
        write_id: format!("write-{seq}"),
        collection: Some(collection(1)),
        op: Op::Add,
        reason: "400 \0no".to_owned(),
        attempts: 3,
    };
    Change::DeadLetter { letter }
}

fn aside(reason: Option<&str>) -> Change {
    let (node, reason) = (REPLICA.to_owned(), reason.map(str::to_owned));
    Change::Quarantined { node, collection: collection(1), reason }
}

fn closed(letters: Letters, how: Closing) -> Change {
    Change::LettersClosed { node: REPLICA.to_owned(), letters, how }
}

/// Collection 1 and three entries of it; the replica refuses the second.
async fn refused(log: &PgLog) {
    let made = |n: u128| Move::CollectionCreated {
        id: collection(n),
        tenant: "t".to_owned(),
        database: "d".to_owned(),
        name: format!("c{n}"),
    };
    log.record(vec![Change::Adopted { moves: vec![made(1)] }, joined("primary"), joined(REPLICA)])
        .await
        .unwrap();
    log.append(adds(1..=3)).await.unwrap();
    log.record(vec![cursor(REPLICA, 1), letter(2), aside(Some("refused"))]).await.unwrap();
}

async fn open(log: &PgLog) -> Vec<(String, bool)> {
    let page = LetterPage { state: Some(LetterState::Open), before: None, only: None, limit: 10 };
    log.letters(page).await.unwrap().into_iter().map(|row| (row.id, row.logged)).collect()
}

#[tokio::test]
async fn an_entry_is_failed_only_when_nobody_else_needs_it() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    refused(&log).await;
    let clean = "DELETE FROM wal_pending_writes WHERE status IN ('completed','failed') AND updated_at < NOW() - INTERVAL '0 days';";
    assert_eq!(base.sql.execute(clean, &[]).await.unwrap(), 0, "the primary may still need it");
    log.record(vec![cursor("primary", 1)]).await.unwrap();
    assert_eq!(base.statuses().await["pending"], 3);
    log.record(vec![cursor("primary", 3)]).await.unwrap();
    assert_eq!(base.statuses().await["failed"], 1);
    let row = log.find("write-2".to_owned()).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.retry_count), ("failed", 3));
    assert_eq!(row.error_message.as_deref(), Some("400 \u{fffd}no"));
    // What the acting node accepted stays accepted, whatever its cursor said.
    let entries = log.page(all(2, 2)).await.unwrap().entries;
    assert!(entries[0].decision().is_some());
    log.record(vec![Change::Completed { through: Seq(1) }]).await.unwrap();
    assert_eq!(base.sql.execute(clean, &[]).await.unwrap(), 2, "now it may go");
    assert_eq!(open(&log).await, [("replica-1:2".to_owned(), false)], "the letter stays");
}

#[tokio::test]
async fn a_closed_letter_lets_its_entry_go_the_ordinary_way() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    refused(&log).await;
    log.record(vec![cursor("primary", 3)]).await.unwrap();
    assert_eq!(base.statuses().await["failed"], 1);
    let copied = closed(Letters::Collection(collection(1)), Closing::Rebuilt);
    log.record(vec![copied, aside(None)]).await.unwrap();
    assert_eq!(base.statuses().await["pending"], 3);
    assert_eq!(open(&log).await, []);
    log.record(vec![cursor(REPLICA, 3), Change::Completed { through: Seq(3) }]).await.unwrap();
    assert_eq!(base.statuses().await["completed"], 3);
    // The same entry, refused once more after a restart, is open once more.
    log.record(vec![letter(2)]).await.unwrap();
    assert_eq!(open(&log).await.len(), 1);
}

/// The copy of the collection ends while cursors are flushed.
#[tokio::test]
async fn an_entry_whose_letter_is_being_closed_is_not_failed() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    refused(&log).await;
    let close = "BEGIN; UPDATE dead_letters SET state = 'resolved', how = 'rebuilt', resolved_at = now()";
    base.sql.batch_execute(close).await.unwrap();
    let flushed = Cell::new(false);
    let flush = async {
        log.record(vec![cursor("primary", 3)]).await.unwrap();
        flushed.set(true);
    };
    let commit = async {
        let begun = Instant::now();
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while !flushed.get() && base.number(waits).await == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the flush neither ends nor waits");
        }
        base.sql.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(flush, commit);
    assert_eq!(base.statuses().await["pending"], 3);
}

#[tokio::test]
async fn a_restart_finds_letters_quarantines_and_accepted_differences() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    refused(&log).await;
    let recovered = taken(&log).await;
    let replica = recovered.nodes.iter().find(|node| node.name == REPLICA).unwrap();
    assert_eq!(replica.letters, [(Some(collection(1)), Seq(2))]);
    assert_eq!(replica.quarantined, [(collection(1), "refused".to_owned())]);
    assert_eq!(replica.skipped, []);
    let accepted = closed(Letters::Entry(Seq(2)), Closing::DifferenceAccepted);
    log.record(vec![accepted, aside(None)]).await.unwrap();
    let recovered = taken(&log).await;
    let replica = recovered.nodes.iter().find(|node| node.name == REPLICA).unwrap();
    assert_eq!((replica.letters.len(), replica.quarantined.len()), (0, 0));
    assert_eq!(replica.skipped, [Seq(2)]);
}

#[tokio::test]
async fn what_is_deleted_is_refused_by_nobody() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    refused(&log).await;
    log.append(vec![create(4, 9)]).await.unwrap();
    let moves = vec![Move::CollectionDeleted { id: collection(1), seq: Seq(4) }];
    let effect = Effect::Collection { id: collection(1) };
    log.record(vec![Change::CatalogAccepted { seq: Seq(4), effect, moves }]).await.unwrap();
    assert_eq!(open(&log).await, []);
    assert_eq!(base.number("SELECT count(*) FROM quarantined_collections").await, 0);
    log.record(vec![letter(3), aside(Some("late"))]).await.unwrap();
    assert_eq!(open(&log).await, [], "a letter that comes after the delete opens nothing");
    assert_eq!(base.number("SELECT count(*) FROM quarantined_collections").await, 0);
}

#[tokio::test]
async fn a_deed_commits_with_what_it_changed_or_not_at_all() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    refused(&log).await;
    let deed = |target: &str| Deed {
        actor: "loopback".to_owned(),
        action: "rebuild".to_owned(),
        target: target.to_owned(),
        outcome: "begun".to_owned(),
        detail: String::new(),
    };
    for n in 1..=3 {
        let audited = Change::Audited { deed: deed(&n.to_string()) };
        log.record(vec![aside(Some("an operator")), audited]).await.unwrap();
    }
    let newest = log.audit(AuditPage { before: None, limit: 2 }).await.unwrap();
    let targets: Vec<&str> = newest.iter().map(|row| row.deed.target.as_str()).collect();
    assert_eq!(targets, ["3", "2"]);
    let rest = log.audit(AuditPage { before: newest.last().map(|row| row.id), limit: 2 }).await.unwrap();
    assert_eq!(rest.len(), 1);
    // Another balancer holds the lease by now: neither the deed nor the change.
    base.sql.execute("UPDATE wal_lease SET epoch = epoch + 1", &[]).await.unwrap();
    let late = log.record(vec![aside(None), Change::Audited { deed: deed("late") }]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))), "{late:?}");
    assert_eq!(log.audit(AuditPage { before: None, limit: 9 }).await.unwrap().len(), 3);
    assert_eq!(base.number("SELECT count(*) FROM quarantined_collections").await, 1);
}
