//! How do entries end? Completed in bulk, removed by operators as they typed it, or by age; never what is still needed.

use super::*;

#[tokio::test]
async fn the_operators_statements_work_as_typed() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=6)).await.unwrap();
    log.record(vec![
        Change::Rejected { seq: Seq(2), reason: "bad\0dimension".to_owned() },
        Change::Attempts { seq: Seq(5), retries: 3, error: "timeout".to_owned() },
        Change::Completed { through: Seq(4) },
    ])
    .await
    .unwrap();
    let statuses = [("completed".to_owned(), 3), ("pending".to_owned(), 2), ("rejected".to_owned(), 1)];
    assert_eq!(base.statuses().await, BTreeMap::from(statuses));
    let rejected = log.find("write-2".to_owned()).await.unwrap().unwrap();
    assert_eq!(rejected.error_message.as_deref(), Some("bad\u{fffd}dimension"));
    let pending = "SELECT write_id, method, path, timestamp, retry_count FROM wal_pending_writes \
        WHERE status='pending' ORDER BY timestamp;";
    let rows = base.sql.query(pending, &[]).await.unwrap();
    let mut read: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(4))).collect();
    read.sort();
    assert_eq!(read, [("write-5".to_owned(), 3), ("write-6".to_owned(), 0)]);

    base.sql
        .batch_execute("UPDATE wal_pending_writes SET updated_at = now() - interval '8 days'")
        .await
        .unwrap();
    let delete = "DELETE FROM wal_pending_writes WHERE status IN ('completed','failed') \
        AND updated_at < NOW() - INTERVAL '7 days';";
    assert_eq!(base.sql.execute(delete, &[]).await.unwrap(), 3);
    // Late changes about rows that are gone, and pages across them.
    let effect = Effect::Ids { ids: vec!["x".to_owned()] };
    log.record(vec![
        Change::Effect { seq: Seq(1), effect },
        Change::Attempts { seq: Seq(3), retries: 1, error: String::new() },
        Change::Rejected { seq: Seq(4), reason: String::new() },
        Change::Completed { through: Seq(4) },
    ])
    .await
    .unwrap();
    assert_eq!(seqs(&log, all(1, 6)).await, (vec![5, 6], 6));
    log.append(adds(7..=7)).await.unwrap();
}

#[tokio::test]
async fn a_large_backlog_completes_in_batches() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    for first in (1..=12_000).step_by(4_000) {
        log.append(adds(first..=first + 3_999)).await.unwrap();
    }
    log.record(vec![Change::Completed { through: Seq(11_999) }]).await.unwrap();
    let statuses = [("completed".to_owned(), 11_999), ("pending".to_owned(), 1)];
    assert_eq!(base.statuses().await, BTreeMap::from(statuses));
}

#[tokio::test]
async fn only_old_finished_entries_expire_up_to_the_bound() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=10)).await.unwrap();
    log.record(vec![Change::Rejected { seq: Seq(2), reason: String::new() }]).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(8) }]).await.unwrap();
    base.sql.batch_execute("UPDATE wal_pending_writes SET status = 'failed' WHERE seq = 3").await.unwrap();
    assert_eq!(log.expire(7, Seq(10), 100).await.unwrap(), 0, "nothing is old");
    let age = "UPDATE wal_pending_writes SET updated_at = now() - interval '8 days' WHERE seq <> 4";
    base.sql.batch_execute(age).await.unwrap();
    assert_eq!(log.expire(9, Seq(10), 100).await.unwrap(), 0, "not that old");
    assert_eq!(log.expire(7, Seq(6), 2).await.unwrap(), 2, "at most the limit");
    assert_eq!(log.expire(7, Seq(6), 100).await.unwrap(), 3, "never above the bound");
    assert_eq!(seqs(&log, all(1, 10)).await, (vec![4, 7, 8, 9, 10], 10));
    assert_eq!(log.expire(0, Seq(10), 100).await.unwrap(), 3, "pending ones stay");
    assert_eq!(seqs(&log, all(1, 10)).await, (vec![9, 10], 10));
}
