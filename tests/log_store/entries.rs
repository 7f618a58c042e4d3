//! Does what was appended and recorded about entries come back as it was, all of it or nothing, in pages that keep to
//! their bounds?

use super::*;

#[tokio::test]
async fn what_is_appended_is_read_back() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let mut update = draft(3, Op::Update, Some(Uuid::from_u128(1)), vec![0, 255, 10]);
    update.headers = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    let written = vec![
        create(1, 1),
        add(2, 1, 0),
        Arc::new(Entry::new(Seq(3), update, 1_700_000_000_999).acknowledged(true)),
        Arc::new(Entry::new(Seq(4), draft(4, Op::Reset, None, vec![]), 5)),
        add(5, 2, 100),
    ];
    log.append(written.clone()).await.unwrap();
    let strange = Effect::Ids { ids: vec!["a\0b".to_owned(), "\u{1f600}".to_owned()] };
    let again = Change::Effect { seq: Seq(3), effect: Effect::Ids { ids: vec![] } };
    let plain = Change::CatalogAccepted { seq: Seq(4), effect: Effect::Plain, moves: vec![] };
    log.record(vec![Change::Effect { seq: Seq(3), effect: strange.clone() }, plain]).await.unwrap();
    log.record(vec![again]).await.unwrap();

    let pages = log.page(all(1, 5)).await.unwrap();
    assert_eq!(pages.complete_through, Seq(5));
    for (read, wrote) in pages.entries.iter().zip(&written) {
        assert_eq!(format!("{:?}", read.draft), format!("{:?}", wrote.draft));
        assert_eq!((read.seq, read.logged_at_ms), (wrote.seq, wrote.logged_at_ms));
    }
    let acknowledged: Vec<_> = pages.entries.iter().map(|entry| entry.is_acknowledged()).collect();
    assert_eq!(acknowledged, [false, false, true, false, false]);
    let decided: Vec<_> = pages.entries.iter().map(|entry| entry.decision()).collect();
    assert_eq!(decided, [None, None, None, Some(Decision::Accepted), None]);
    assert_eq!(pages.entries[2].effect(), Some(&strange));
    assert_eq!(pages.entries[3].effect(), Some(&Effect::Plain));

    let of = |stream| Page { stream: Some(stream), ..all(1, 5) };
    assert_eq!(seqs(&log, of(Stream::Catalog)).await, (vec![1, 4], 5));
    assert_eq!(seqs(&log, of(Stream::Collection(collection(1)))).await, (vec![2, 3], 5));
    assert_eq!(seqs(&log, of(Stream::Collection(collection(9)))).await, (vec![], 5));

    let row = log.find("write-3".to_owned()).await.unwrap().unwrap();
    assert_eq!((row.seq, row.op, row.status.as_str()), (Seq(3), Op::Update, "pending"));
    assert!(row.acknowledged);
    assert_eq!(row.timestamp, "2023-11-14T22:13:20.999Z");
    assert!(row.updated_at.ends_with('Z'));
    assert!(log.find("nothing".to_owned()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_append_is_all_or_nothing_and_leaves_no_gap() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=2)).await.unwrap();
    // The second has a write id that is taken.
    let doubled = Entry::new(Seq(4), draft(1, Op::Add, Some(Uuid::from_u128(1)), vec![]), 0);
    let error = log.append(vec![add(3, 1, 1), Arc::new(doubled)]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("idx_wal_write_id")), "{error}");
    assert!(matches!(log.append(vec![add(3, 1, 1), add(5, 1, 1)]).await, Err(StoreError::Refused(_))));
    assert_eq!(seqs(&log, all(1, 9)).await, (vec![1, 2], 2));
    // A refusal costs nothing: the position is still free.
    log.append(adds(3..=3)).await.unwrap();
    // Somebody else wrote meanwhile, or we lost count: never a gap, never a second entry.
    assert!(matches!(log.append(adds(9..=9)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(log.append(adds(4..=4)).await, Err(StoreError::LeaseLost(_))), "the lease is gone");
    assert_eq!(taken(&log).await.head, Seq(3));
}

#[tokio::test]
async fn a_record_is_all_or_nothing() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=1)).await.unwrap();
    let created = |n, name: &str| Move::CollectionCreated {
        id: collection(n),
        tenant: "t".to_owned(),
        database: "d".to_owned(),
        name: name.to_owned(),
    };
    let moves = vec![created(1, "same"), created(2, "same")];
    let error = log
        .record(vec![
            Change::Rejected { seq: Seq(1), reason: "no".to_owned() },
            Change::Cursor { node: node(), seq: Seq(1) },
            Change::CatalogAccepted { seq: Seq(1), effect: Effect::Plain, moves },
        ])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert_eq!(base.statuses().await, BTreeMap::from([("pending".to_owned(), 1)]));
    assert_eq!(base.number("SELECT count(*) FROM wal_cursors").await, 0);
    assert_eq!(base.number("SELECT count(*) FROM catalog_collections").await, 0);
    log.append(adds(2..=2)).await.unwrap();
}

#[tokio::test]
async fn a_rejection_does_not_undo_what_was_accepted() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(vec![create(1, 1), add(2, 1, 1), add(3, 1, 1)]).await.unwrap();
    let accepted = Change::CatalogAccepted { seq: Seq(1), effect: Effect::Plain, moves: vec![] };
    log.record(vec![accepted, Change::Completed { through: Seq(2) }]).await.unwrap();
    log.record((1..=3).map(|n| Change::Rejected { seq: Seq(n), reason: "late".to_owned() }).collect())
        .await
        .unwrap();
    let pages = log.page(all(1, 3)).await.unwrap();
    let read: Vec<_> = pages.entries.iter().map(|entry| (entry.seq.0, entry.decision())).collect();
    assert_eq!(read, [(1, Some(Decision::Accepted)), (2, Some(Decision::Accepted))]);
}

#[tokio::test]
async fn pages_keep_to_both_bounds() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let sizes = [10, 50_000, 10, 10, 10, 50_000, 10];
    let entries = sizes.iter().zip(1..).map(|(bytes, seq)| add(seq, u128::from(seq % 2), *bytes)).collect();
    log.append(entries).await.unwrap();
    log.record(vec![Change::Rejected { seq: Seq(4), reason: String::new() }]).await.unwrap();
    let page = |from, max_entries, max_bytes| Page { max_entries, max_bytes, ..all(from, 7) };
    assert_eq!(seqs(&log, page(1, 100, 1 << 20)).await, (vec![1, 2, 3, 5, 6, 7], 7));
    assert_eq!(seqs(&log, page(1, 2, 1 << 20)).await, (vec![1, 2], 2));
    // The rejected fourth does not count as missing.
    assert_eq!(seqs(&log, page(1, 3, 1 << 20)).await, (vec![1, 2, 3], 4));
    assert_eq!(seqs(&log, page(1, 6, 1 << 20)).await, (vec![1, 2, 3, 5, 6, 7], 7));
    assert_eq!(seqs(&log, page(1, 100, 100)).await, (vec![1], 1));
    assert_eq!(seqs(&log, page(2, 100, 100)).await, (vec![2], 2), "always one");
    assert_eq!(seqs(&log, page(3, 100, 100)).await, (vec![3, 5], 5));
    assert_eq!(seqs(&log, page(3, 100, 20)).await, (vec![3, 5], 5), "exactly full");
    assert_eq!(seqs(&log, page(3, 0, 0)).await, (vec![3], 4));
    let odd = Page { stream: Some(Stream::Collection(collection(1))), ..page(1, 2, 1 << 20) };
    assert_eq!(seqs(&log, odd).await, (vec![1, 3], 4));
    assert_eq!(seqs(&log, all(6, 1_000)).await, (vec![6, 7], 7), "not beyond the head");
    assert_eq!(seqs(&log, all(5, 5)).await, (vec![5], 5));
}
