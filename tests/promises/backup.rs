//! Is what a backup brings back exactly what clients were told was written, up to the position that it names?
//! Taken while writers write, restored into another cluster, whatever happens meanwhile.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::client::{Answer, exchange};
use crate::harness::nodes::{collections_url, read};
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, records, until_quiet, until_state};
use crate::harness::{Options, Place, Stack, delete, get, keys, post, until};

mod commands;
mod writers;

use commands::{backup, manifest, restore, run};
use writers::Writers;

const SOON: Duration = Duration::from_secs(60);

/// One node is enough to hold what is restored.
async fn empty() -> Stack {
    Stack::start(Options { nodes: 1, ..Options::default() }).await
}

async fn one_by_one(base: &str, id: &str, count: usize) {
    for n in 0..count {
        let body = json!({"ids": [format!("r{n}")], "embeddings": [[n as f64, 1.0]], "documents": [format!("text {n}")],
            "metadatas": [{"part": n % 4, "n": n}]});
        let (status, answer) = records(base, id, "add", &body).await;
        assert_eq!(status, 201, "{answer}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_up_to_the_position_is_restored_and_nothing_else() {
    let stack = Stack::start(Options::default()).await;
    // So many that enough is acknowledged within one short backup.
    let writers = Writers::begin(&stack, 10).await;
    writers.until_written(60).await;
    let folder = stack.place.join("backup");
    let (said, ()) = tokio::join!(backup(&stack, &folder), async {
        writers.until_written(150).await;
    });
    said.fine();
    writers.until_written(220).await;
    run(&stack, &["backup-log"], &folder).await.fine();
    let book = writers.end(&stack).await;
    let base = &manifest(&folder)["base"];
    let (from, through) = (base["from"].as_u64().unwrap(), base["through"].as_u64().unwrap());
    let last = manifest(&folder)["segments"].as_array().unwrap().last().unwrap()["through"].as_u64().unwrap();
    println!("copied between {from} and {through}, saved up to {last}, {} acknowledged", book.len());
    assert!(book.between(from, through) > 20, "writers wrote while it was read");
    assert!(last > through);

    let other = empty().await;
    let position = through.to_string();
    let said = restore(&other, &folder, &["--to-position", &position]).await;
    said.fine();
    book.assert_restored(&other, through).await;
    // A second time nothing is overwritten.
    let said = restore(&other, &folder, &[]).await;
    said.refused("not empty");

    // One collection as it was at other times, beside what is there.
    let middle = (through + last) / 2;
    for (name, arguments, position) in [
        ("at-middle", ["--to-position".to_owned(), middle.to_string()], middle),
        ("at-end", ["--to-position".to_owned(), last.to_string()], last),
    ] {
        let asked: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let asked = [&["--collection", "notes", "--as", name], &asked[..]].concat();
        restore(&other, &folder, &asked).await.fine();
        book.assert_notes(&other, name, position).await;
    }
    let (time, position) = book.a_time_between(through, last);
    restore(&other, &folder, &["--collection", "notes", "--as", "at-time", "--to-time", &time]).await.fine();
    book.assert_notes(&other, "at-time", position).await;
    let sometime = ["--collection", "notes", "--as", "never", "--to-time", "sometime"];
    restore(&other, &folder, &sometime).await.ended(64, "--to-time: ");
    for (arguments, why) in [
        (["--to-position", "1"], "cannot be restored"),
        (["--to-position", "99999999"], "cannot be restored"),
        (["--to-time", "2001-01-01T00:00:00Z"], "cannot be restored"),
        (["--before-write", "nobody"], "has no write nobody"),
    ] {
        let asked = [&["--collection", "notes", "--as", "never"], &arguments[..]].concat();
        restore(&other, &folder, &asked).await.refused(why);
    }
}

/// A stack with 40 records, a backup of them, and then: writes, a delete that was a mistake, writes.
async fn mistaken() -> (Stack, PathBuf, String, String) {
    let stack = Stack::start(Options::default()).await;
    let url = stack.url();
    create(&url, "other").await;
    let id = create(&url, "notes").await;
    one_by_one(&url, &id, 40).await;
    let folder = stack.place.join("backup");
    backup(&stack, &folder).await.fine();
    let (_, _) = records(&url, &id, "delete", &json!({"ids": ["r7"]})).await;
    let change = json!({"ids": ["r8", "r9"], "documents": ["changed 8", "changed 9"]});
    assert_eq!(records(&url, &id, "update", &change).await.0, 200);
    let (path, filter) =
        (format!("{}/{id}/delete", collections_url(&url)), json!({"where": {"part": {"$lt": 3}}}));
    let mistake = exchange(Method::POST, &path, Some(&filter)).await.unwrap();
    assert_eq!(mistake.body["deleted"], 30, "{}", mistake.body);
    let write = mistake.headers["x-chroma-ha-write-id"].to_str().unwrap().to_owned();
    // Life goes on: what was deleted is written anew, something else is deleted on purpose.
    let anew =
        json!({"ids": ["r0", "new"], "embeddings": [[9.0, 9.0], [8.0, 8.0]], "documents": ["anew", "new"]});
    assert_eq!(records(&url, &id, "add", &anew).await.0, 201);
    assert_eq!(records(&url, &id, "delete", &json!({"ids": ["r3"]})).await.0, 200);
    (stack, folder, id, write)
}

fn document(records: &crate::harness::nodes::Records, id: &str) -> Value {
    records.get(id).map_or(Value::Null, |record| record.2.clone())
}

#[tokio::test]
async fn a_mistaken_delete_is_undone_beside_and_in_place() {
    let (stack, folder, id, write) = mistaken().await;
    let url = stack.url();
    let undo = ["--collection", "notes", "--before-write", write.as_str()];
    restore(&stack, &folder, &[&undo[..], &["--missing"]].concat()).await.refused("save the log first");
    run(&stack, &["backup-log"], &folder).await.fine();

    restore(&stack, &folder, &[&undo[..], &["--as", "notes-restored"]].concat()).await.fine();
    let beside = read(&url, "notes-restored").await.unwrap();
    assert_eq!(beside.len(), 39);
    assert_eq!(document(&beside, "r0"), "text 0");
    assert_eq!(document(&beside, "r8"), "changed 8");
    assert!(!beside.contains_key("r7") && !beside.contains_key("new") && beside.contains_key("r3"));
    let of_another = ["--collection", "other", "--before-write", write.as_str(), "--missing"];
    restore(&stack, &folder, &of_another).await.refused("another collection");
    // Under a name that is taken nothing is written.
    let before = read(&url, "notes").await.unwrap();
    restore(&stack, &folder, &[&undo[..], &["--as", "notes"]].concat()).await.refused("choose another name");
    assert_eq!(read(&url, "notes").await.unwrap(), before);

    let said = restore(&stack, &folder, &[&undo[..], &["--missing"]].concat()).await;
    said.fine();
    let live = read(&url, "notes").await.unwrap();
    assert_eq!(document(&live, "r0"), "anew", "what was written since stays");
    assert_eq!(document(&live, "new"), "new");
    assert_eq!(document(&live, "r8"), "changed 8");
    assert!(!live.contains_key("r7") && !live.contains_key("r3"), "what others deleted stays so");
    assert_eq!(live.len(), 39);
    for (record, there) in &beside {
        if record != "r3" && record != "r0" {
            assert_eq!(live.get(record), Some(there), "{record}");
        }
    }
    let (_, listed) = get(&collections_url(&url)).await;
    let names: Vec<&str> = listed.as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names.len(), 3, "what was restored beside is gone: {names:?}");
    assert_eq!(get(&format!("{}/notes", collections_url(&url))).await.1["id"], id.as_str());
    until_quiet(&url).await;
    crate::harness::assert_nodes_equal(&stack, "notes", SOON).await;
}

/// Where the log's next write would be, to see that nothing was written.
async fn head(url: &str) -> Value {
    get(&format!("{url}/wal/status")).await.1["head"].clone()
}

#[tokio::test]
async fn a_damaged_backup_is_refused_before_anything_is_changed() {
    let (stack, folder, ..) = mistaken().await;
    run(&stack, &["backup-log"], &folder).await.fine();
    run(&stack, &["backup-verify"], &folder).await.fine();
    let begun = head(&stack.url()).await;
    assert!(begun.is_u64());
    let mut files: Vec<PathBuf> = vec![folder.join("manifest.json")];
    for inner in ["records", "log"] {
        files.extend(std::fs::read_dir(folder.join(inner)).unwrap().map(|entry| entry.unwrap().path()));
    }
    assert!(files.len() >= 4, "{files:?}");
    let refused = async |what: &str| {
        run(&stack, &["backup-verify"], &folder).await.refused("");
        let said = restore(&stack, &folder, &["--collection", "notes", "--as", "never"]).await;
        said.refused("");
        println!("{what}: {}", said.told.trim());
        assert_eq!(head(&stack.url()).await, begun, "{what}: something was written");
    };
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(&file, &flipped).unwrap();
        refused(&format!("{} with a flipped bit", file.display())).await;
        std::fs::write(&file, &whole[..middle]).unwrap();
        refused(&format!("{} cut", file.display())).await;
        std::fs::remove_file(&file).unwrap();
        refused(&format!("{} missing", file.display())).await;
        std::fs::write(&file, &whole).unwrap();
    }
    run(&stack, &["backup-verify"], &folder).await.fine();
    // Nor does a backup go where something is.
    backup(&stack, &folder).await.refused("is not empty");
}

#[tokio::test]
async fn a_log_with_a_gap_or_of_another_cluster_is_refused() {
    let (stack, folder, id, _) = mistaken().await;
    let url = stack.url();
    let other = empty().await;
    run(&other, &["backup-log"], &folder).await.refused("make a new backup");
    // A balancer and a database that do not belong together.
    let mixed =
        commands::said(&other.url(), &stack.database_url, &["backup"], &other.place.join("mixed")).await;
    mixed.refused("");
    assert!(!other.place.join("mixed/manifest.json").exists());
    run(&stack, &["backup-log"], &folder).await.fine();
    one_more(&url, &id, "lost").await;
    until_quiet(&url).await;
    let database = crate::harness::sql::connect(&stack.database_url).await;
    let gone = "DELETE FROM wal_pending_writes WHERE seq = (SELECT max(seq) FROM wal_pending_writes)";
    assert_eq!(database.execute(gone, &[]).await.unwrap(), 1);
    one_more(&url, &id, "later").await;
    run(&stack, &["backup-log"], &folder).await.refused("make a new backup");
    // What it had saved is as good as before.
    run(&stack, &["backup-verify"], &folder).await.fine();
    let anew = stack.place.join("anew");
    backup(&stack, &anew).await.fine();
    restore(&other, &anew, &[]).await.fine();
    assert_eq!(read(&other.url(), "notes").await.unwrap(), read(&url, "notes").await.unwrap());
}

async fn one_more(url: &str, id: &str, record: &str) {
    let body = json!({"ids": [record], "embeddings": [[1.0, 2.0]], "documents": [record]});
    let (status, answer) = records(url, id, "upsert", &body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_node_that_is_down_and_a_balancer_that_is_killed_do_not_harm_a_backup() {
    let mut stack = Stack::start(Options::default()).await;
    let writers = Writers::begin(&stack, 2).await;
    writers.until_written(30).await;
    stack.replica().kill9();
    until_state(&stack.url(), "replica-1", "down").await;
    let folder = stack.place.join("backup");
    let (url, database) = (stack.url(), stack.database_url.clone());
    let saving = commands::said(&url, &database, &["backup"], &folder);
    let (said, ()) = tokio::join!(saving, async {
        writers.until_written(40).await;
        stack.balancer.kill9();
        stack.balancer.start_again().await;
    });
    said.fine();
    let book = writers.end(&stack).await;
    let through = manifest(&folder)["base"]["through"].as_u64().unwrap();
    let other = empty().await;
    restore(&other, &folder, &[]).await.fine();
    book.assert_restored(&other, through).await;

    // However far behind it is, the node that stays down makes no more log part of the copy.
    until_state(&url, "replica-1", "down").await;
    let client = crate::harness::sql::connect(&stack.database_url).await;
    // That it went down under this balancer is kept a moment after it is told.
    let kept = "SELECT count(*) FROM failover_history WHERE node = 'replica-1' AND to_state = 'down' \
        AND epoch = (SELECT epoch FROM wal_lease)";
    let kept = async || client.query_one(kept, &[]).await.unwrap().get::<_, i64>(0) > 0;
    until(SOON, "its going down is kept", kept).await;
    let again = stack.place.join("again");
    run(&stack, &["backup"], &again).await.fine();
    let behind = "SELECT applied_seq FROM wal_cursors WHERE node = 'replica-1'";
    let behind: i64 = client.query_one(behind, &[]).await.unwrap().get(0);
    let from = manifest(&again)["base"]["from"].as_i64().unwrap();
    assert!(from > behind, "copied from {from}, the replica stands at {behind}");

    // Without a balancer for good there is no backup, and it says so.
    stack.balancer.stop().await;
    let never = stack.place.join("never");
    let said = commands::said(&url, &database, &["backup", "--patience", "1"], &never).await;
    said.ended(2, "did not serve");
    assert!(!never.join("manifest.json").exists());
    run(&other, &["backup-verify"], &never).await.refused("no finished backup");
}

/// One that says soon that nobody took a write.
async fn curt() -> Stack {
    Stack::start(Options { nodes: 1, ..Options::default() }.env("REQUEST_TIMEOUT", "5")).await
}

/// A balancer whose only node does not run, with these records queued for it: the write's answer.
async fn queued(stack: &mut Stack, id: &str, verb: &str, body: &Value) -> Answer {
    let url = stack.url();
    stack.primary().kill9();
    until_state(&url, "primary", "down").await;
    let path = format!("{}/{id}/{verb}", collections_url(&url));
    let answer = exchange(Method::POST, &path, Some(body)).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer
}

/// Whoever saved an undecided write as an accepted one could never restore it.
#[tokio::test]
async fn the_end_of_the_log_is_saved_once_it_is_decided() {
    let mut stack = curt().await;
    let url = stack.url();
    let id = create(&url, "notes").await;
    one_by_one(&url, &id, 3).await;
    let folder = stack.place.join("backup");
    backup(&stack, &folder).await.fine();
    let before = read(&url, "notes").await.unwrap();
    // Of another dimension: Chroma will refuse it.
    queued(&mut stack, &id, "add", &json!({"ids": ["wrong"], "embeddings": [[1.0, 2.0, 3.0]]})).await;

    let mut saving = commands::command(&url, &stack.database_url, &["backup-log"], &folder);
    let mut saving = saving.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program");
    let mut lines = BufReader::new(saving.stderr.take().expect("its lines")).lines();
    let waits = lines.next_line().await.expect("text").unwrap_or_default();
    assert!(waits.contains("waiting until position"), "it did not wait: {waits}");
    run(&stack, &["backup-log"], &folder).await.ended(75, "is being written by another");
    stack.primary().start_again().await.unwrap();
    assert!(saving.wait().await.expect("its end").success(), "{:?}", lines.next_line().await);
    restore(&stack, &folder, &["--collection", "notes", "--as", "again"]).await.fine();
    assert_eq!(read(&url, "again").await.unwrap(), before);
}

/// Every server lost the collection; what was queued for it went with it when it was deleted.
#[tokio::test]
async fn a_write_that_no_server_got_is_missed_at_no_position_but_its_own() {
    let mut stack = curt().await;
    let url = stack.url();
    let id = create(&url, "lost").await;
    one_by_one(&url, &id, 4).await;
    let folder = stack.place.join("backup");
    backup(&stack, &folder).await.fine();
    let before = read(&url, "lost").await.unwrap();
    let clear = json!({"where": {"part": {"$lt": 2}}});
    let queued = queued(&mut stack, &id, "delete", &clear).await;
    let write = queued.headers["x-chroma-ha-write-id"].to_str().unwrap();
    // No node can be read: not now.
    let never = stack.place.join("never");
    run(&stack, &["backup", "--patience", "0"], &never).await.ended(75, "did not serve");
    let nowhere = "postgresql://127.0.0.1:1/none";
    commands::said(&url, nowhere, &["backup-log"], &folder).await.ended(2, "PostgreSQL cannot be reached");
    stack.primary().wipe().unwrap();
    stack.primary().start_again().await.unwrap();
    let place = format!("{}/lost", collections_url(&url));
    until(SOON, "what is lost can be deleted", async || delete(&place).await.0 == 200).await;
    let kept = create(&url, "kept").await;
    one_by_one(&url, &kept, 2).await;
    run(&stack, &["backup-log"], &folder).await.fine();
    run(&stack, &["backup-verify"], &folder).await.fine();

    restore(&stack, &folder, &["--collection", "kept", "--as", "again"]).await.fine();
    restore(&stack, &folder, &["--collection", "lost"]).await.refused("has no collection lost");
    let position = get(&format!("{url}/wal/writes/{write}")).await.1["seq"].to_string();
    let at = ["--to-position", position.as_str()];
    let begun = head(&url).await;
    for asked in [&at[..], &[&["--collection", "lost"], &at[..]].concat()] {
        restore(&stack, &folder, asked).await.refused("the log does not tell what the write");
    }
    assert_eq!(head(&url).await, begun, "something was written");
    restore(&stack, &folder, &["--collection", "lost", "--before-write", write]).await.fine();
    assert_eq!(read(&url, "lost").await.unwrap(), before);

    // Of a collection that is there it would be missed at every later position.
    assert_eq!(records(&url, &kept, "delete", &clear).await.0, 200);
    let database = crate::harness::sql::connect(&stack.database_url).await;
    let forget = "UPDATE wal_pending_writes SET effect = NULL WHERE op = 'delete' AND target = $1";
    let kept = uuid::Uuid::parse_str(&kept).unwrap();
    assert_eq!(database.execute(forget, &[&kept]).await.unwrap(), 1);
    run(&stack, &["backup-log"], &folder).await.refused("make a new backup");
}

#[tokio::test]
async fn every_end_of_a_backup_has_the_code_of_its_kind() {
    let place = Place::new("ends");
    let folder = place.join("backup");
    let port = chroma_ha::dev::free_port().expect("a free port");
    let (url, database) = (format!("http://127.0.0.1:{port}"), format!("postgresql://127.0.0.1:{port}/none"));
    for (verb, database, code, why) in [
        (&["backup", "--patience", "0"][..], database.as_str(), 2, "did not serve GET /status"),
        (&["restore"], &database, 1, "no finished backup"),
        (&["backup-log"], &database, 1, "no finished backup"),
        (&["backup"], "", 64, "DATABASE_URL is not set"),
        (&["backup"], "nonsense", 64, "DATABASE_URL: is neither"),
        (&["backup", "--sideways"], &database, 64, "--help"),
    ] {
        commands::said(&url, database, verb, &folder).await.ended(code, why);
        assert!(!folder.exists(), "what was not begun may be tried again there");
    }
}

/// A second life under the same id would meet what the log and the catalog keep of the first.
#[tokio::test]
async fn a_cluster_that_held_the_collections_before_is_refused_as_a_whole() {
    let stack = empty().await;
    let url = stack.url();
    let id = create(&url, "notes").await;
    one_by_one(&url, &id, 3).await;
    let folder = stack.place.join("backup");
    backup(&stack, &folder).await.fine();
    let before = read(&url, "notes").await.unwrap();
    assert_eq!(delete(&format!("{}/notes", collections_url(&url))).await.0, 200);
    until_quiet(&url).await;
    let begun = head(&url).await;
    for arguments in [&[][..], &["--resume"]] {
        restore(&stack, &folder, arguments).await.refused("has been in this cluster before");
    }
    assert_eq!(head(&url).await, begun, "something was written");
    restore(&stack, &folder, &["--collection", "notes"]).await.fine();
    assert_eq!(read(&url, "notes").await.unwrap(), before);
}

#[tokio::test]
async fn only_a_restore_chooses_ids() {
    let stack = empty().await;
    let asked = |value: &str| {
        let client = crate::harness::client::client();
        let request = client.post(collections_url(&stack.url())).json(&json!({"name": "mine"}));
        request.header("x-chroma-ha-restored-id", value).send()
    };
    let id = uuid::Uuid::from_u128(7).to_string();
    for value in [id.clone(), format!("{id} "), format!("{id} guess")] {
        assert_eq!(asked(&value).await.unwrap().status(), 403, "{value}");
    }
    let database = crate::harness::sql::connect(&stack.database_url).await;
    let key: String = database.query_one("SELECT peer_key FROM wal_lease", &[]).await.unwrap().get(0);
    let made: Value = asked(&format!("{id} {key}")).await.unwrap().json().await.unwrap();
    assert_eq!(made["id"], id.as_str());
    assert_eq!(asked(&format!("{id} {key}")).await.unwrap().status(), 409, "an id is given once");
    let (status, _) = post(&collections_url(&stack.url()), &json!({"name": "other"})).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_restore_that_breaks_off_goes_on_also_where_keys_are_asked_for() {
    let stack = empty().await;
    for n in 0..30 {
        let id = create(&stack.url(), &format!("notes-{n}")).await;
        one_by_one(&stack.url(), &id, 2).await;
    }
    let folder = stack.place.join("backup");
    backup(&stack, &folder).await.fine();

    let keyed = Options { nodes: 1, ..Options::default() }.env("API_KEYS", &keys::line("restorer", "admin"));
    // Its status is for who has a key, so the harness cannot wait for its node.
    let place = Place::new("keyed");
    let nodes = start_nodes(&place, 1, false).await;
    let other = Stack::over(place, nodes, keyed).await;
    restore(&other, &folder, &[]).await.refused("key");
    let begin = |arguments: &[&str]| {
        let verb = [&["restore"], arguments].concat();
        let mut command = commands::command(&other.url(), &other.database_url, &verb, &folder);
        command.env("CHROMA_HA_KEY", keys::secret("restorer"));
        command
    };
    let mut broken = begin(&[]).stderr(Stdio::null()).spawn().expect("the program");
    let database = crate::harness::sql::connect(&other.database_url).await;
    let head = "SELECT head FROM wal_head";
    let written = async || database.query_one(head, &[]).await.expect("a row").get::<_, i64>(0);
    until(SOON, "some of it is there", async || written().await > 10).await;
    broken.kill().await.expect("kill -9");
    let there = written().await;
    assert!(there < 60, "it was nearly through: {there}");
    commands::ended(begin(&[])).await.refused("not empty");
    commands::ended(begin(&["--resume"])).await.fine();
    for n in 0..30 {
        let name = format!("notes-{n}");
        let source = read(&stack.url(), &name).await.expect("the source");
        assert_eq!(source.len(), 2);
        assert_eq!(read(&other.nodes[0].url(), &name).await.expect("the other"), source, "{name}");
    }
}
