//! What does the log do with a PostgreSQL that is away, hangs, or has few connections?

use super::*;

#[tokio::test]
async fn a_restarted_server_is_used_again() {
    let base = Base::on(Arc::new(Server::start(&[]))).await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=3)).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(1) }]).await.unwrap();
    base.server.down();
    for result in [
        log.append(adds(4..=4)).await,
        log.append(adds(4..=4)).await,
        log.record(vec![Change::Completed { through: Seq(2) }]).await,
        log.check().await,
        log.acquire().await.map(drop),
        log.page(all(1, 3)).await.map(drop),
    ] {
        let error = result.unwrap_err();
        println!("while away: {error}");
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::LeaseLost(_)), "{error}");
    }
    let asked = Instant::now();
    let error = base.log().page(all(1, 3)).await.unwrap_err();
    assert!(error.to_string().contains("refused") && asked.elapsed() < Duration::from_secs(3), "{error}");
    base.server.up();
    let recovered = taken(&log).await;
    assert_eq!((recovered.head, recovered.epoch), (Seq(3), 2));
    log.append(adds(4..=4)).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(4) }]).await.unwrap();
    assert_eq!(seqs(&log, all(1, 9)).await, (vec![1, 2, 3, 4], 4));
}

#[tokio::test]
async fn a_hung_append_is_an_outage_with_an_outcome_that_is_found_out() {
    let base = Base::on(Arc::new(Server::start(&["fsync=off"]))).await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=3)).await.unwrap();
    let holder = "SELECT pid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let pid = nix::unistd::Pid::from_raw(i32::try_from(base.number(holder).await).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let asked = Instant::now();
    let error = log.append(adds(4..=4)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && asked.elapsed() < Duration::from_secs(12));
    assert!(log.acquire().await.unwrap().is_none(), "it may still commit");
    assert_eq!(seqs(&log, all(1, 3)).await.0, [1, 2, 3], "reads go on");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    let recovered = loop {
        match log.acquire().await.unwrap() {
            Some(recovered) => break recovered,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    println!("head after the hung append of 4: {}", recovered.head);
    assert_eq!(seqs(&log, all(1, 9)).await.1, recovered.head.0);
    log.append(adds(recovered.head.0 + 1..=6)).await.unwrap();
    assert_eq!(seqs(&log, all(1, 9)).await.0, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn two_logs_fit_in_twenty_connections() {
    let base = Base::on(Arc::new(Server::start(&["fsync=off", "max_connections=20"]))).await;
    let (a, _) = base.holder().await;
    let b = base.log();
    assert!(b.acquire().await.unwrap().is_none());
    a.append(adds(1..=50)).await.unwrap();
    let busy = (0..40).map(async |n| {
        let log = if n % 2 == 0 { &a } else { &b };
        log.page(all(1, 50)).await.unwrap();
        log.find("write-1".to_owned()).await.unwrap();
    });
    futures_util::future::join_all(busy).await;
    let used = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chroma-ha'";
    let used = base.number(used).await;
    println!("connections of two logs: {used}");
    assert!(used <= 6, "{used}");
    let facts = postgres::check(&base.settings()).await.unwrap();
    assert_eq!((facts.max_connections, facts.ssl, facts.read_only), (20, false, false));
}

/// Prints figures; judges none.
#[tokio::test]
async fn how_fast_is_a_group() {
    let base = Base::on(Arc::new(Server::start(&[]))).await;
    let (log, _) = base.holder().await;
    let mut next = 1;
    for group in [1_u64, 32, 200] {
        let started = Instant::now();
        let mut groups = 0;
        while started.elapsed() < Duration::from_secs(1) {
            log.append((next..next + group).map(|seq| add(seq, 1, 4_000)).collect()).await.unwrap();
            next += group;
            groups += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        let (commits, rows) = (f64::from(groups) / seconds, f64::from(groups) * group as f64 / seconds);
        println!("groups of {group}: {commits:.0} commits/s, {rows:.0} entries/s");
    }
    let started = Instant::now();
    for seq in 1..=200 {
        let effect = Effect::Ids { ids: vec!["x".to_owned()] };
        log.record(vec![Change::Effect { seq: Seq(seq), effect }]).await.unwrap();
    }
    println!("one effect: {:.2} ms", started.elapsed().as_secs_f64() * 5.0);
    let started = Instant::now();
    log.record(vec![Change::Completed { through: Seq(next) }]).await.unwrap();
    println!("{} entries completed in {:.1} s", next - 1, started.elapsed().as_secs_f64());
}
