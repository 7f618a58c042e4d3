//! What does the next holder find? The head, the cursors and the catalog as they were, and what is deleted for as long as
//! a node is behind.

use super::*;

#[tokio::test]
async fn the_head_survives_the_loss_of_every_row() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=7)).await.unwrap();
    base.sql.batch_execute("DELETE FROM wal_pending_writes").await.unwrap();
    let recovered = taken(&log).await;
    assert_eq!(recovered.head, Seq(7));
    assert_eq!(seqs(&log, all(1, 7)).await, (vec![], 7));
    log.append(adds(8..=8)).await.unwrap();
    // A database restored from an older dump of the head, with a node that was further.
    base.sql.batch_execute("UPDATE wal_head SET head = 0").await.unwrap();
    assert_eq!(taken(&log).await.head, Seq(8));
    log.record(vec![Change::CatalogCursor { node: node(), seq: Seq(30) }]).await.unwrap();
    assert_eq!(taken(&log).await.head, Seq(30));
}

#[tokio::test]
async fn cursors_never_move_back() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    for (cursor, catalog) in [(5, 2), (3, 4), (4, 1)] {
        log.record(vec![
            Change::Cursor { node: node(), seq: Seq(cursor) },
            Change::Cursor { node: node(), seq: Seq(1) },
            Change::CatalogCursor { node: node(), seq: Seq(catalog) },
        ])
        .await
        .unwrap();
    }
    let mapped = Change::Mapped {
        node: "replica-1".to_owned(),
        collection: collection(1),
        node_collection: Some(Uuid::from_u128(11)),
    };
    log.record(vec![mapped]).await.unwrap();
    let nodes = taken(&log).await.nodes;
    let read: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.cursor.0, n.catalog_cursor.0)).collect();
    assert_eq!(read, [("primary", 5, 4), ("replica-1", 0, 0)]);
    assert_eq!(nodes[1].mapped, [(collection(1), Uuid::from_u128(11))]);
}

/// The moves applied in memory.
#[derive(Default)]
struct Model {
    databases: BTreeMap<(String, String), Uuid>,
    collections: BTreeMap<CollectionId, (String, String, String)>,
    deleted: BTreeMap<CollectionId, Seq>,
}

impl Model {
    fn apply(&mut self, step: &Move) {
        match step.clone() {
            Move::TenantCreated { .. } => {}
            Move::DatabaseCreated { id, tenant, name } => {
                self.databases.insert((tenant, name), id);
            }
            Move::DatabaseDeleted { tenant, name, seq } => {
                self.delete(seq, |(t, d, _)| *t == tenant && *d == name);
                self.databases.remove(&(tenant, name));
            }
            Move::CollectionCreated { id, tenant, database, name } => {
                self.collections.insert(id, (tenant, database, name));
            }
            Move::CollectionRenamed { id, name } => self.collections.get_mut(&id).unwrap().2 = name,
            Move::CollectionDeleted { id, seq } => {
                self.collections.remove(&id);
                self.deleted.insert(id, seq);
            }
            Move::Reset { seq } => {
                self.delete(seq, |_| true);
                self.databases.clear();
                self.databases.insert(("default_tenant".into(), "default_database".into()), Uuid::nil());
            }
        }
    }

    fn delete(&mut self, seq: Seq, which: impl Fn(&(String, String, String)) -> bool) {
        for (id, _) in self.collections.extract_if(.., |_, names| which(names)) {
            self.deleted.insert(id, seq);
        }
    }
}

#[tokio::test]
async fn the_catalog_reloads_as_it_was_in_memory() {
    let base = Base::new().await;
    let (log, recovered) = base.holder().await;
    let mut model = Model::default();
    for (id, tenant, name) in recovered.databases {
        model.databases.insert((tenant, name), id);
    }
    let text = str::to_owned;
    let created = |n, database: &str, name: &str| Move::CollectionCreated {
        id: collection(n),
        tenant: text("t"),
        database: text(database),
        name: text(name),
    };
    let database =
        |n, name: &str| Move::DatabaseCreated { id: Uuid::from_u128(n), tenant: text("t"), name: text(name) };
    let dropped = |n, seq| Move::CollectionDeleted { id: collection(n), seq: Seq(seq) };
    let steps = [
        vec![Move::TenantCreated { name: text("t") }, database(100, "d"), database(101, "e")],
        vec![created(1, "d", "a")],
        vec![created(2, "d", "b"), created(3, "e", "a")],
        vec![Move::CollectionRenamed { id: collection(1), name: text("c") }],
        // The freed name is taken, and freed and taken again.
        vec![created(4, "d", "a")],
        vec![dropped(4, 6)],
        vec![created(5, "d", "a")],
        vec![dropped(5, 8), created(6, "d", "a")],
        vec![Move::DatabaseDeleted { tenant: text("t"), name: text("d"), seq: Seq(9) }],
        vec![database(102, "d"), created(7, "d", "a")],
        vec![Move::Reset { seq: Seq(11) }],
        vec![created(8, "d", "a")],
    ];
    let entries = (1..=steps.len() as u64).map(|seq| create(seq, u128::from(seq))).collect();
    log.append(entries).await.unwrap();
    for (n, moves) in steps.iter().enumerate() {
        moves.iter().for_each(|step| model.apply(step));
        let accepted =
            Change::CatalogAccepted { seq: Seq(n as u64 + 1), effect: Effect::Plain, moves: moves.clone() };
        // Twice, as after an unknown outcome.
        log.record(vec![accepted.clone()]).await.unwrap();
        log.record(vec![accepted]).await.unwrap();
        let read = taken(&log).await;
        let databases = read.databases.into_iter().map(|(id, tenant, name)| ((tenant, name), id));
        assert_eq!(databases.collect::<BTreeMap<_, _>>(), model.databases, "after {n}");
        let collections = read.collections.into_iter().map(|(id, t, d, name)| (id, (t, d, name)));
        assert_eq!(collections.collect::<BTreeMap<_, _>>(), model.collections, "after {n}");
        assert_eq!(read.deleted.into_iter().collect::<BTreeMap<_, _>>(), model.deleted, "after {n}");
    }
    forgets(&log).await;
}

/// A deleted collection is remembered while a node is behind its deletion; what a node held of it, until it
/// has passed the deletion.
async fn forgets(log: &PgLog) {
    let mapped = |n: u128| Change::Mapped {
        node: node(),
        collection: collection(n),
        node_collection: Some(Uuid::from_u128(100 + n)),
    };
    log.record(vec![
        Change::Cursor { node: node(), seq: Seq(20) },
        Change::CatalogCursor { node: node(), seq: Seq(9) },
        mapped(1),
        mapped(3),
    ])
    .await
    .unwrap();
    let remembered = async || {
        let read = taken(log).await;
        let deleted: Vec<_> = read.deleted.iter().map(|(id, seq)| (id.0.as_u128(), seq.0)).collect();
        let mapped = read.nodes.iter().flat_map(|node| &node.mapped).map(|(id, _)| id.0.as_u128());
        (deleted, mapped.collect::<Vec<_>>())
    };
    assert_eq!(remembered().await, (vec![(1, 9), (3, 11), (7, 11)], vec![1, 3]));
    log.expire(7, Seq(20), 100).await.unwrap();
    assert_eq!(remembered().await, (vec![(3, 11), (7, 11)], vec![3]));
}

#[tokio::test]
async fn changes_of_nodes_states_are_found_in_order_the_last_hundred() {
    let base = Base::new().await;
    let (log, recovered) = base.holder().await;
    assert!(recovered.turns.is_empty());
    for n in 0..104 {
        let (from, to) = (n.to_string(), (n + 1).to_string());
        log.record(vec![Change::NodeState { node: node(), from, to, reason: "bad\0probe".to_owned() }])
            .await
            .unwrap();
    }
    let turns = taken(&log).await.turns;
    assert_eq!(turns.len(), 100);
    assert_eq!((turns[0].from.as_str(), turns[99].to.as_str()), ("4", "104"));
    assert_eq!((turns[0].node.clone(), turns[0].reason.as_str()), (node(), "bad\u{fffd}probe"));
    let now = base.number("SELECT (extract(epoch FROM now()) * 1000)::bigint").await;
    assert!(now - i64::try_from(turns[99].at_ms).unwrap() < 60_000, "{turns:?}");
    base.sql
        .batch_execute("UPDATE failover_history SET at = at - interval '91 days' WHERE id <= 100")
        .await
        .unwrap();
    log.expire(7, Seq(0), 1_000).await.unwrap();
    assert_eq!(base.number("SELECT count(*) FROM failover_history").await, 4);
}

#[tokio::test]
async fn doubts_are_kept_by_node_and_stream_until_they_are_over() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let (one, other) = (Stream::Catalog, Stream::Collection(collection(1)));
    let doubted = |node: &str, stream, first: Option<u64>| Change::Doubted {
        node: node.to_owned(),
        stream,
        first: first.map(Seq),
    };
    let changes = [
        doubted("primary", one, Some(3)),
        doubted("replica-1", one, Some(9)),
        doubted("replica-1", other, Some(5)),
        doubted("replica-1", other, Some(4)),
    ];
    log.record(changes.into()).await.unwrap();
    let kept = async || {
        let recovered = log.acquire().await.unwrap().unwrap();
        recovered.nodes.into_iter().map(|node| (node.name, node.doubts)).collect::<BTreeMap<_, _>>()
    };
    let all = kept().await;
    assert_eq!(all["primary"], [(one, Seq(3))]);
    assert_eq!(all["replica-1"], [(one, Seq(9)), (other, Seq(4))]);
    log.record(vec![doubted("replica-1", one, None), doubted("primary", one, None)]).await.unwrap();
    let all = kept().await;
    assert_eq!(all.get("primary"), None);
    assert_eq!(all["replica-1"], [(other, Seq(4))]);
}
