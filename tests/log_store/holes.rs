//! Does the log notice that entries which a node still needs are gone, whoever removed them? And does it
//! remember what copies left on a node?

use chroma_ha_core::port::{Leftover, LeftoverState, RecoveredNode};

use super::*;

const REPLICA: &str = "replica-2";

fn own(n: u128) -> Uuid {
    Uuid::from_u128(900 + n)
}

/// Ten entries; the primary has them all, a node that was taken out has four and one collection.
async fn with_a_node_left_behind(base: &Base) -> PgLog {
    let (log, _) = base.holder().await;
    log.append(adds(1..=10)).await.unwrap();
    let mapped =
        |node: String, own| Change::Mapped { node, collection: collection(1), node_collection: Some(own) };
    log.record(vec![
        Change::Joined { node: node(), seq: Seq(10) },
        Change::Joined { node: REPLICA.to_owned(), seq: Seq(4) },
        mapped(node(), own(1)),
        mapped(REPLICA.to_owned(), own(2)),
        Change::Rejected { seq: Seq(5), reason: "refused".to_owned() },
        Change::Completed { through: Seq(10) },
    ])
    .await
    .unwrap();
    log
}

async fn nodes(log: &PgLog) -> (RecoveredNode, RecoveredNode) {
    let mut nodes = taken(log).await.nodes;
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let [primary, replica] = <[RecoveredNode; 2]>::try_from(nodes).unwrap();
    (primary, replica)
}

fn is_member(node: &RecoveredNode) -> bool {
    node.joined && node.mapped.len() == 1 && node.copying.is_empty()
}

#[tokio::test]
async fn a_node_is_set_aside_when_what_it_missed_is_removed() {
    let base = Base::new().await;
    let log = with_a_node_left_behind(&base).await;
    // What it has, and what was applied nowhere, is nothing that it misses.
    base.sql.execute("DELETE FROM wal_pending_writes WHERE seq <= 5", &[]).await.unwrap();
    let (primary, replica) = nodes(&log).await;
    assert!(is_member(&primary) && is_member(&replica), "{primary:?} {replica:?}");

    base.sql.execute("DELETE FROM wal_pending_writes WHERE seq = 6", &[]).await.unwrap();
    for _ in 0..2 {
        let (primary, replica) = nodes(&log).await;
        assert!(is_member(&primary), "{primary:?}");
        assert!(!replica.joined && replica.mapped.is_empty(), "{replica:?}");
        let left = Leftover { node_collection: own(2), state: LeftoverState::Unchecked };
        assert_eq!(replica.copying, [(collection(1), left)]);
    }
}

#[tokio::test]
async fn retention_and_an_empty_table_are_noticed_as_well() {
    let base = Base::new().await;
    let log = with_a_node_left_behind(&base).await;
    base.sql
        .execute("UPDATE wal_pending_writes SET updated_at = now() - interval '9 days'", &[])
        .await
        .unwrap();
    assert_eq!(log.expire(7, Seq(10), 100).await.unwrap(), 10);
    let (primary, replica) = nodes(&log).await;
    assert!(is_member(&primary) && !replica.joined, "{primary:?} {replica:?}");

    let base = Base::new().await;
    let log = with_a_node_left_behind(&base).await;
    base.sql.batch_execute("TRUNCATE wal_pending_writes").await.unwrap();
    let (primary, replica) = nodes(&log).await;
    assert!(is_member(&primary) && !replica.joined, "{primary:?} {replica:?}");
}

#[tokio::test]
async fn an_operators_role_needs_no_right_but_to_delete() {
    let base = Base::new().await;
    let log = with_a_node_left_behind(&base).await;
    let role = format!("cleaner_{}", base.name);
    let grant = format!(
        "CREATE ROLE {role}; GRANT SELECT, DELETE ON wal_pending_writes TO {role}; SET ROLE {role}; \
         DELETE FROM wal_pending_writes WHERE status IN ('completed','failed') AND updated_at < NOW() + INTERVAL '7 days'; \
         RESET ROLE"
    );
    base.sql.batch_execute(&grant).await.unwrap();
    assert!(!nodes(&log).await.1.joined);
}

#[tokio::test]
async fn what_a_copy_left_is_remembered_with_what_may_be_done_with_it() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let left = async || {
        let nodes = taken(&log).await.nodes;
        nodes.into_iter().flat_map(|node| node.copying).map(|(_, left)| left).collect::<Vec<_>>()
    };
    let copying = |own| Change::Copying { node: node(), collection: collection(1), node_collection: own };
    let begun = |own| Change::CopyBegun {
        node: node(),
        collection: collection(1),
        node_collection: own,
        position: Seq(7),
    };
    let leftover = |n, state| Leftover { node_collection: own(n), state };
    log.record(vec![copying(Some(own(1)))]).await.unwrap();
    assert_eq!(left().await, [leftover(1, LeftoverState::Void)]);
    log.record(vec![begun(own(2))]).await.unwrap();
    assert_eq!(left().await, [leftover(2, LeftoverState::Begun(Seq(7)))]);
    log.record(vec![copying(Some(own(2)))]).await.unwrap();
    assert_eq!(left().await, [leftover(2, LeftoverState::Void)]);
    // As a release writes it that knows no positions.
    log.record(vec![begun(own(2))]).await.unwrap();
    base.sql.execute("UPDATE catalog_copies SET node_collection = $1", &[&own(3)]).await.unwrap();
    assert_eq!(left().await, [leftover(3, LeftoverState::Void)]);
    log.record(vec![copying(None)]).await.unwrap();
    assert_eq!(left().await, []);
}
