//! What does the log's one writer keep to, that the log itself cannot know? A task of an earlier lease of
//! this very process records nothing, and what waits to be appended counts as work under way.

use actix::{Addr, Arbiter};
use chroma_ha_actors::board::Board;
use chroma_ha_actors::gate::{GateLimits, RequestGate};
use chroma_ha_actors::guard::{self, Watched};
use chroma_ha_actors::stats::Stats;
use chroma_ha_actors::wal::{Append, Record, WalActor, WalTimes};
use chroma_ha_core::commit::GroupLimits;
use chroma_ha_core::health::NodeState;
use chroma_ha_core::route::Share;
use chroma_ha_core::sequencer::Limits;

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

/// The log's writer with nothing around it.
fn writer(base: &Base) -> (Arc<Board>, Addr<WalActor>) {
    let lease = Duration::from_secs(10);
    let board = Board::new(Limits::default(), 1, NodeState::Up, lease);
    let times = WalTimes { flush: LONG, lease, retention: LONG, retention_days: 7 };
    let group = GroupLimits { max_entries: 10, max_bytes: 1_000 };
    let (watched, stats) = (Watched::new("wal", 10), Arc::new(Stats::try_new().unwrap()));
    let store = Arc::new(base.log());
    let (own, row) = (Arc::clone(&board), Arc::clone(&watched));
    let wal = guard::start(&Arbiter::current(), row, drop, move |_| {
        WalActor::new(own, store, group, times, Vec::new(), watched, stats)
    });
    (board, wal)
}

async fn until_leading(board: &Board, epoch: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !board.sequencer().leading() || board.sequencer().epoch() != epoch {
        assert!(Instant::now() < deadline, "epoch {epoch} did not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn what_was_begun_under_an_earlier_lease_records_nothing() {
    actix::System::new().block_on(async {
        let base = Base::new().await;
        let (log, _) = base.holder().await;
        log.append(adds(1..=2)).await.unwrap();
        log.release(true).await.unwrap();
        let (board, wal) = writer(&base);
        until_leading(&board, 2).await;
        let refusal = |seq| vec![Change::Rejected { seq: Seq(seq), reason: "400".to_owned() }];
        wal.send(Record { epoch: 2, changes: refusal(1) }).await.unwrap().unwrap();
        base.cut_sessions().await;
        until_leading(&board, 3).await;
        let late = wal.send(Record { epoch: 2, changes: refusal(2) }).await.unwrap();
        assert!(matches!(&late, Err(StoreError::LeaseLost(text)) if text.contains("epoch 2")), "{late:?}");
        let statuses = [("pending".to_owned(), 1), ("rejected".to_owned(), 1)];
        assert_eq!(base.statuses().await, BTreeMap::from(statuses));
        wal.send(Record { epoch: 3, changes: refusal(2) }).await.unwrap().unwrap();
        assert_eq!(base.statuses().await, BTreeMap::from([("rejected".to_owned(), 2)]));
    });
}

#[test]
fn a_write_that_waits_to_be_appended_holds_what_it_took_although_nobody_waits_for_it() {
    actix::System::new().block_on(async {
        let base = Base::new().await;
        let (board, wal) = writer(&base);
        until_leading(&board, 1).await;
        base.sql.batch_execute("BEGIN; LOCK TABLE wal_pending_writes IN EXCLUSIVE MODE").await.unwrap();
        let limits = GateLimits { requests: 2, queued: 0, wait: LONG, body_bytes: 1 << 20 };
        let gate = RequestGate::new(limits);
        for seq in 1..=2 {
            let mut ticket = gate.ticket(Share::Writes);
            ticket.hold(1 << 10).await.unwrap();
            ticket.enter().await.unwrap();
            let ticket = Arc::new(ticket);
            let draft = draft(seq, Op::Add, Some(Uuid::from_u128(1)), Vec::new());
            wal.do_send(Append { draft, claim: None, ticket, sound: false });
        }
        // Answered after both were taken in: one is being appended, one waits.
        assert!(wal.send(Record { epoch: 0, changes: Vec::new() }).await.unwrap().is_err());
        let fill = gate.fill();
        assert_eq!((fill.in_flight, fill.body_bytes), (2, 2 << 10), "also the one being appended");
        base.sql.batch_execute("ROLLBACK").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while gate.fill().in_flight > 0 || gate.fill().body_bytes > 0 || board.sequencer().head() < Seq(2) {
            assert!(Instant::now() < deadline, "{:?}", gate.fill());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
