//! Are claims kept with their entries, and outcomes told as they were told first, until they are old?

use chroma_ha_core::answer::Answer;
use chroma_ha_core::idempotency::{Claim, Fate};

use super::*;

fn claim(n: u8) -> Claim {
    Claim { key: [n; 32], digest: [n + 100; 32] }
}

fn claiming(seq: u64, n: u8) -> Arc<Entry> {
    let draft = draft(seq, Op::Add, Some(Uuid::from_u128(1)), vec![7; 3]);
    Arc::new(Entry::new(Seq(seq), draft, 1_700_000_000_123).under(Some(claim(n))))
}

fn answer(status: u16, body: &str) -> Answer {
    Answer::json(status, body.to_owned())
}

async fn fate(log: &PgLog, n: u8) -> Option<Fate> {
    log.recall([n; 32]).await.unwrap().map(|claimed| claimed.fate)
}

#[tokio::test]
async fn a_claim_comes_with_its_entry_and_the_first_outcome_stays() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    assert!(fate(&log, 1).await.is_none());
    log.append(vec![add(1, 1, 3), claiming(2, 1), create(3, 9), claiming(4, 2)]).await.unwrap();
    let claimed = log.recall([1; 32]).await.unwrap().unwrap();
    assert_eq!((claimed.digest, claimed.write_id.as_str(), claimed.seq), ([101; 32], "write-2", Seq(2)));
    assert_eq!(claimed.stream, Stream::Collection(collection(1)));
    assert!(matches!(claimed.fate, Fate::Undecided));
    let keyed: Vec<bool> =
        log.page(all(1, 10)).await.unwrap().entries.iter().map(|entry| entry.is_keyed()).collect();
    assert_eq!(keyed, [false, true, false, true]);
    let outcome = |status, body| Change::Outcome { seq: Seq(2), answer: answer(status, body) };
    log.record(vec![outcome(201, "{}")]).await.unwrap();
    log.record(vec![outcome(500, "later")]).await.unwrap();
    let Some(Fate::Kept(kept)) = fate(&log, 1).await else { panic!("nothing is kept") };
    assert_eq!((kept.status, kept.body.as_ref(), kept.headers.len()), (201, &b"{}"[..], 1));
    log.record(vec![Change::Rejected { seq: Seq(4), reason: "400 no".into() }]).await.unwrap();
    assert!(matches!(fate(&log, 2).await, Some(Fate::Rejected(reason)) if reason == "400 no"));
    let fates = log.fates(vec![Seq(1), Seq(2), Seq(4), Seq(99)]).await.unwrap();
    let told: BTreeMap<u64, String> = fates.iter().map(|(seq, fate)| (seq.0, format!("{fate:?}"))).collect();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(told[&1], "Undecided");
}

#[tokio::test]
async fn a_key_that_is_taken_appends_nothing() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(vec![claiming(1, 1)]).await.unwrap();
    let taken = log.append(vec![add(2, 1, 3), claiming(3, 1)]).await;
    assert!(matches!(taken, Err(StoreError::Refused(_))), "{taken:?}");
    assert_eq!(seqs(&log, all(1, 10)).await, (vec![1], 1));
}

#[tokio::test]
async fn outcomes_leave_with_the_retention_unless_their_entry_is_pending() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(vec![claiming(1, 1), claiming(2, 2), claiming(3, 3)]).await.unwrap();
    log.record(vec![Change::Outcome { seq: Seq(1), answer: answer(201, "{}") }]).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(2) }]).await.unwrap();
    assert_eq!(log.expire(7, Seq(2), 100).await.unwrap(), 0);
    let age = "UPDATE wal_outcomes SET claimed_at = now() - interval '8 days', \
        answered_at = answered_at - interval '8 days'";
    base.sql.batch_execute(age).await.unwrap();
    assert_eq!(log.expire(7, Seq(2), 1).await.unwrap(), 1, "in small batches");
    assert_eq!(log.expire(7, Seq(2), 100).await.unwrap(), 1);
    let left = [fate(&log, 1).await, fate(&log, 2).await, fate(&log, 3).await].map(|fate| fate.is_some());
    assert_eq!(left, [false, false, true], "an undecided entry's client may still ask");
}
