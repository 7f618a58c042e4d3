//! What does a backup read of the log? From which position on a node may still change, which names there are, and
//! every entry with what became of it.

use chroma_ha::postgres::Archive;
use chroma_ha_core::backup::Outcome;

use super::*;

fn safe(marks: &postgres::Marks, node: &str) -> Option<u64> {
    marks.safe.get(node).map(|safe| safe.0)
}

#[tokio::test]
async fn a_node_is_certain_up_to_its_cursor_its_doubts_and_its_copies() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=9)).await.unwrap();
    let mut archive = Archive::new(base.settings());
    assert!(archive.marks().await.unwrap().safe.is_empty(), "nobody has joined");
    log.record(vec![Change::Joined { node: node(), seq: Seq(2) }]).await.unwrap();
    log.record(vec![Change::Cursor { node: node(), seq: Seq(8) }]).await.unwrap();
    let marks = archive.marks().await.unwrap();
    assert_eq!((marks.head, marks.low, marks.decided), (Seq(9), Seq(0), Seq(8)));
    assert_eq!(safe(&marks, &node()), Some(8));
    let doubted = |first| Change::Doubted { node: node(), stream: Stream::Collection(collection(1)), first };
    log.record(vec![doubted(Some(Seq(6)))]).await.unwrap();
    assert_eq!(safe(&archive.marks().await.unwrap(), &node()), Some(5));
    log.record(vec![doubted(None)]).await.unwrap();
    let begun = Uuid::from_u128(3);
    let copy = Change::CopyBegun {
        node: node(),
        collection: collection(1),
        node_collection: begun,
        position: Seq(4),
    };
    log.record(vec![copy]).await.unwrap();
    assert_eq!(safe(&archive.marks().await.unwrap(), &node()), Some(4));
    let same = archive.marks().await.unwrap().log;
    assert_eq!(same, Archive::new(base.settings()).marks().await.unwrap().log);
    assert_ne!(same, Archive::new(Base::new().await.settings()).marks().await.unwrap().log);
}

#[tokio::test]
async fn what_was_accepted_is_told_and_of_what_was_refused_only_that_it_was() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let create = |n: u64| {
        let mut entry = adds(n..=n).remove(0);
        let inner = Arc::get_mut(&mut entry).unwrap();
        inner.draft.op = Op::CreateCollection;
        inner.draft.target = Some(Uuid::from_u128(u128::from(n)));
        entry
    };
    let accepted = |n: u64| {
        let id = CollectionId(Uuid::from_u128(u128::from(n)));
        let step = Move::CollectionCreated {
            id,
            tenant: "default_tenant".to_owned(),
            database: "default_database".to_owned(),
            name: format!("c{n}"),
        };
        Change::CatalogAccepted { seq: Seq(n), effect: Effect::Collection { id }, moves: vec![step] }
    };
    let mut archive = Archive::new(base.settings());
    assert_eq!(archive.names().await.unwrap().collections, []);
    log.append(vec![create(1), create(2), create(3)]).await.unwrap();
    log.record(vec![accepted(1)]).await.unwrap();
    log.record(vec![Change::Rejected { seq: Seq(2), reason: "taken".to_owned() }]).await.unwrap();
    let names = archive.names().await.unwrap();
    assert_eq!(names.collections.len(), 1);
    log.record(vec![accepted(3)]).await.unwrap();
    let names = archive.names().await.unwrap();
    assert_eq!(names.collections.len(), 2);
    log.append(adds(4..=4)).await.unwrap();
    let page = archive.entries(Seq(0), Seq(9)).await.unwrap();
    let read: Vec<_> = page.entries.iter().map(|logged| (logged.seq.0, logged.outcome)).collect();
    let (yes, no) = (Outcome::Accepted, Outcome::Rejected);
    assert_eq!(read, [(1, yes), (2, no), (3, yes), (4, yes)]);
    assert_eq!(page.through, Seq(4), "nothing is claimed of what was not there");
    assert_eq!(page.entries[1].body, None, "of what was refused only that it was");
}
