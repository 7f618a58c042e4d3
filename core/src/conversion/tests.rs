//! Twins stay twins: deletions on two servers that hold the same documents under other ids. It knows no log.

use proptest::prelude::*;

use super::*;

/// `(id, document, content)`
type Row = (String, String, String);

fn row(id: &str, document: &str, content: &str) -> Row {
    (id.to_owned(), document.to_owned(), content.to_owned())
}

fn shown(rows: &[Row]) -> Vec<Seen> {
    let ids: Vec<&String> = rows.iter().map(|row| &row.0).collect();
    let metadatas: Vec<Value> = rows
        .iter()
        .map(|row| if row.1.is_empty() { Value::Null } else { json!({ "document_id": row.1 }) })
        .collect();
    let documents: Vec<&String> = rows.iter().map(|row| &row.2).collect();
    let answer = json!({ "ids": ids, "metadatas": metadatas, "documents": documents });
    seen(answer.to_string().as_bytes(), "document_id").unwrap()
}

fn having(rows: &[Row], documents: &BTreeSet<String>) -> Vec<Row> {
    rows.iter().filter(|row| documents.contains(&row.1)).cloned().collect()
}

fn with_ids(rows: &[Row], ids: &[String]) -> Vec<Row> {
    rows.iter().filter(|row| ids.contains(&row.0)).cloned().collect()
}

/// As the acting node's lane does it.
fn judged(rows: &[Row], asked: &[&str]) -> Deletion {
    let asked: Vec<String> = asked.iter().map(|id| (*id).to_owned()).collect();
    let deletion = Deletion::of(&asked, &shown(&with_ids(rows, &asked)));
    let open = deletion.open();
    deletion.completed(&shown(&having(rows, &open)))
}

fn converted(deletion: &Deletion, rows: &[Row]) -> Conversion {
    deletion.on(&shown(&with_ids(rows, &deletion.ids)), &shown(&having(rows, &deletion.open())))
}

fn without(rows: &[Row], ids: &[String]) -> Vec<Row> {
    rows.iter().filter(|row| !ids.contains(&row.0)).cloned().collect()
}

/// What is left, but for ids.
fn contents(rows: &[Row]) -> Vec<(String, String)> {
    let mut all: Vec<_> = rows.iter().map(|row| (row.1.clone(), row.2.clone())).collect();
    all.sort_unstable();
    all
}

#[test]
fn the_same_content_goes_under_its_other_id() {
    let one = [row("p1", "d", "x"), row("p2", "d", "y"), row("p3", "e", "x")];
    let other = [row("r1", "d", "x"), row("r2", "d", "y"), row("r3", "e", "x")];
    let conversion = converted(&judged(&one, &["p1"]), &other);
    assert_eq!(conversion.ids, ["r1"]);
    assert_eq!(conversion.tally, Tally { attempted: 1, converted: 1, ..Tally::default() });
}

#[test]
fn an_id_that_means_another_record_there_is_spared() {
    let one = [row("1", "d", "x"), row("2", "d", "y")];
    let other = [row("1", "d", "y"), row("2", "d", "x")];
    assert_eq!(converted(&judged(&one, &["1"]), &other).ids, ["2"]);
}

#[test]
fn without_a_match_the_chunk_is_left_and_counted() {
    let one = [row("p1", "d", "x"), row("p2", "", "x")];
    let other = [row("r1", "d", "not x"), row("r2", "e", "x")];
    let conversion = converted(&judged(&one, &["p1", "p2"]), &other);
    assert_eq!(conversion.ids, Vec::<String>::new());
    assert_eq!(conversion.tally, Tally { attempted: 1, unmatched: 1, ..Tally::default() });
}

#[test]
fn a_document_goes_with_all_its_records_and_chroma_counts_the_ids() {
    let one = [row("p1", "d", "x"), row("p2", "d", "y"), row("p3", "e", "x")];
    let deletion = judged(&one, &["d", "nobody"]);
    assert_eq!((deletion.ids.as_slice(), deletion.deleted), (&["p1".to_owned(), "p2".to_owned()][..], 2));
    let conversion = converted(&deletion, &[row("r1", "d", "x"), row("r2", "d", "y"), row("r3", "e", "x")]);
    assert_eq!(
        (conversion.ids.as_slice(), conversion.tally.by_document),
        (&["r1".to_owned(), "r2".to_owned()][..], 2)
    );
}

#[test]
fn a_record_that_came_through_the_log_is_no_substitute() {
    let one = [row("p1", "d", "x"), row("logged", "d", "x")];
    let other = [row("a-logged", "d", "x"), row("logged", "d", "x")];
    assert_eq!(converted(&judged(&one, &["p1"]), &other).ids, ["a-logged"]);
    assert_eq!(converted(&judged(&one, &["p1"]), &other[1..]).tally.unmatched, 1);
}

fn rows() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..3usize, 0..3usize), 1..9)
}

proptest! {
    /// The same documents under other ids, duplicates among them, stay the same after every deletion; and a
    /// deletion that was fixed and is applied again, later, changes nothing.
    #[test]
    fn twins_stay_twins(rows in rows(), deletions in prop::collection::vec(prop::collection::vec(0..12usize, 1..4), 1..5)) {
        let named = |prefix: &str, order: &dyn Fn(usize) -> usize| -> Vec<Row> {
            let row = |(n, (d, c)): (usize, &(usize, usize))| {
                row(&format!("{prefix}{}", order(n)), &format!("d{d}"), &format!("c{c}"))
            };
            rows.iter().enumerate().map(row).collect()
        };
        let one = named("id", &|n| n);
        // The same ids mean other records, or ids of its own.
        for mut other in [named("id", &|n| rows.len() - 1 - n), named("own", &|n| n)] {
            let mut first = one.clone();
            prop_assert!(same_documents(&shown(&first), &shown(&other)));
            let mut fixed = Vec::new();
            for asked in &deletions {
                let asked: Vec<String> =
                    asked.iter().map(|n| if *n < 9 { format!("id{n}") } else { format!("d{}", n - 9) }).collect();
                let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
                let deletion = judged(&first, &asked);
                let conversion = converted(&deletion, &other);
                prop_assert_eq!(conversion.ids.len(), deletion.ids.len(), "as many as the client deleted");
                prop_assert_eq!(conversion.tally.unmatched, 0);
                first = without(&first, &deletion.ids);
                other = without(&other, &conversion.ids);
                fixed.push(conversion.ids);
                prop_assert_eq!(contents(&first), contents(&other));
            }
            let end = contents(&other);
            for ids in &fixed {
                other = without(&other, ids);
            }
            prop_assert_eq!(contents(&other), end);
        }
    }
}
