//! Who may write to the log? One holder at a time, fenced by its epoch, waited out where it did not give the lease back.

use super::*;

#[tokio::test]
async fn one_holder_at_a_time_and_the_last_one_is_fenced() {
    let base = Base::new().await;
    let (first, recovered) = base.holder().await;
    first.append(adds(1..=3)).await.unwrap();
    let second = base.log_at("http://second");
    assert!(second.acquire().await.unwrap().is_none());
    assert!(matches!(second.append(adds(4..=4)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(second.record(vec![]).await, Err(StoreError::LeaseLost(_))));

    first.release(true).await.unwrap();
    let taken = second.acquire().await.unwrap().unwrap();
    assert!(taken.epoch > recovered.epoch);
    assert_eq!(taken.head, Seq(3));
    assert_eq!(first.holder().await.unwrap().as_deref(), Some("http://second"));
    let cursor = || vec![Change::Cursor { node: node(), seq: Seq(1) }];
    assert!(matches!(first.append(adds(4..=4)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(first.record(cursor()).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(first.check().await, Err(StoreError::LeaseLost(_))));
    assert!(first.acquire().await.unwrap().is_none());
    second.append(adds(4..=4)).await.unwrap();
    second.record(cursor()).await.unwrap();
}

#[tokio::test]
async fn a_lost_session_loses_the_lease() {
    let base = Base::new().await;
    let (first, _) = base.holder().await;
    base.cut_sessions().await;
    assert!(first.append(adds(1..=1)).await.is_err());
    let (second, _) = base.holder().await;
    assert!(matches!(first.append(adds(1..=1)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(first.record(vec![]).await, Err(StoreError::LeaseLost(_))));
    second.append(adds(1..=1)).await.unwrap();
}

#[tokio::test]
async fn a_stale_epoch_fences_even_a_living_session() {
    let base = Base::new().await;
    let changes = [
        Change::Cursor { node: node(), seq: Seq(9) },
        Change::Completed { through: Seq(9) },
        Change::NodeState { node: node(), from: "up".into(), to: "down".into(), reason: "test".into() },
    ];
    for change in changes {
        let (log, _) = base.holder().await;
        base.sql.batch_execute("UPDATE wal_lease SET epoch = epoch + 1").await.unwrap();
        let lost = log.record(vec![change]).await;
        assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
        assert!(matches!(log.append(adds(1..=1)).await, Err(StoreError::LeaseLost(_))));
    }
    let (log, _) = base.holder().await;
    base.sql.batch_execute("UPDATE wal_lease SET epoch = epoch + 1").await.unwrap();
    assert!(matches!(log.append(adds(1..=1)).await, Err(StoreError::LeaseLost(_))));
    assert!(base.statuses().await.is_empty());
    let (log, _) = base.holder().await;
    base.sql.batch_execute("UPDATE wal_lease SET epoch = epoch + 1").await.unwrap();
    assert!(matches!(log.check().await, Err(StoreError::LeaseLost(_))));
}

#[tokio::test]
async fn a_holder_that_stops_checking_is_replaced() {
    let base = Base::new().await;
    let (paused, _) = base.holder().await;
    let waiting = base.log();
    let started = Instant::now();
    while waiting.acquire().await.unwrap().is_none() {
        assert!(started.elapsed() < postgres::LEASE + Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(started.elapsed() > postgres::LEASE - Duration::from_secs(2));
    assert!(paused.append(adds(1..=1)).await.is_err());
    assert!(matches!(paused.record(vec![]).await, Err(StoreError::LeaseLost(_))));
    waiting.append(adds(1..=1)).await.unwrap();
}

#[tokio::test]
async fn a_holder_that_checks_is_left_alone() {
    let base = Base::new().await;
    let (holder, _) = base.holder().await;
    let waiting = base.log();
    let started = Instant::now();
    while started.elapsed() < postgres::LEASE + Duration::from_secs(2) {
        assert!(waiting.acquire().await.unwrap().is_none());
        holder.check().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Its session is gone at once; but it may not have noticed, and may think for the rest of its lease that
/// it is the holder.
#[tokio::test]
async fn a_lease_that_was_not_given_back_is_waited_out_by_another_balancer() {
    let base = Base::new().await;
    let lease = Duration::from_secs(2);
    let gone = base.log().leasing(lease);
    gone.acquire().await.unwrap().unwrap();
    gone.check().await.unwrap();
    let begun = Instant::now();
    drop(gone);
    let other = base.log_at("http://other").leasing(Duration::from_secs(60));
    let recovered = loop {
        if let Some(recovered) = other.acquire().await.unwrap() {
            break recovered;
        }
        assert!(begun.elapsed() < lease * 3);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(begun.elapsed() >= lease - Duration::from_millis(600), "{:?}", begun.elapsed());
    assert!(!recovered.quiet);
}

#[tokio::test]
async fn a_lease_that_was_given_back_or_was_held_in_this_place_is_free_at_once() {
    let base = Base::new().await;
    let (first, _) = base.holder().await;
    first.release(true).await.unwrap();
    let second = base.log_at("http://second");
    assert!(second.acquire().await.unwrap().unwrap().quiet);
    assert!(!second.acquire().await.unwrap().unwrap().quiet, "its own, but not given back");
    second.release(false).await.unwrap();
    assert!(!base.log().acquire().await.unwrap().unwrap().quiet);
    base.cut_sessions().await;
    assert!(base.log().acquire().await.unwrap().is_some(), "killed, and started in the same place");
}

#[tokio::test]
async fn balancers_know_of_each_other_and_of_the_holder() {
    let base = Base::new().await;
    let (a, b) = (base.log_at("http://a"), base.log_at("http://b"));
    let alone = a.company(Vec::new()).await.unwrap();
    assert_eq!((alone.holder, alone.others.len()), (None, 0));
    let epoch = a.acquire().await.unwrap().unwrap().epoch;
    let seen = b.company(Vec::new()).await.unwrap();
    assert_eq!(seen.holder, Some(Peer { address: "http://a".to_owned(), epoch }));
    assert_eq!(seen.others, ["http://a"]);
    let met = a.company(Vec::new()).await.unwrap();
    assert_eq!(met.holder, None);
    assert_eq!(met.others, ["http://b"]);
    assert_eq!(met.key, seen.key);
    assert!(met.key.0.len() >= 64 && !format!("{met:?}").contains(&met.key.0));
    a.release(true).await.unwrap();
    assert_eq!(a.company(Vec::new()).await.unwrap().others, ["http://b"]);
    let left = b.company(Vec::new()).await.unwrap();
    assert_eq!((left.holder, left.others.len()), (None, 0), "who has left is nobody to wait for");
}
