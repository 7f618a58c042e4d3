//! Writers of all kinds, each with records and names of its own, and a book of what was acknowledged under which
//! write: by the log's positions, it tells what must be there at any of them. It knows nothing of backups.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::client::client;
use crate::harness::nodes::{Record, Records, collections_url, difference, read};
use crate::harness::surface::create;
use crate::harness::{Stack, get, until};

const LONG: Duration = Duration::from_secs(120);

/// What one acknowledged write leaves.
#[derive(Clone, Debug)]
enum Left {
    /// Of a record; none: it is gone.
    Record { collection: String, id: String, record: Option<Record> },
    /// The name of a collection; none: it is gone.
    Name { collection: String, name: Option<String> },
}

#[derive(Default)]
struct Told(Mutex<Vec<(String, Left)>>);

pub(crate) struct Writers {
    told: Arc<Told>,
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    notes: String,
}

/// A client that tries again until it is answered.
struct Client {
    url: String,
    told: Arc<Told>,
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Client {
    /// The write that was acknowledged, by whichever attempt: they bear one key. None if it was refused.
    async fn write(&self, method: Method, path: &str, body: &Value) -> Option<(String, Value)> {
        let (url, key) = (format!("{}{path}", collections_url(&self.url)), uuid::Uuid::new_v4().to_string());
        loop {
            let request = client().request(method.clone(), &url).header("idempotency-key", &key);
            let request = if body.is_null() { request } else { request.json(body) };
            match request.send().await {
                Ok(answer) if answer.status().is_success() && answer.status() != 202 => {
                    let write = answer.headers()["x-chroma-ha-write-id"].to_str().expect("text").to_owned();
                    self.written.fetch_add(1, Ordering::Relaxed);
                    return Some((write, answer.json().await.unwrap_or_default()));
                }
                Ok(answer) if matches!(answer.status().as_u16(), 400 | 404) => return None,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn tell(&self, write: &str, left: Left) {
        self.told.0.lock().expect("a book").push((write.to_owned(), left));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn record(writer: usize, tag: u64, version: u64) -> Record {
    let embedding = vec![version as f32, writer as f32 + 0.1, 1.0];
    (
        embedding,
        json!({"writer": writer, "tag": tag, "version": version, "share": 1.0 / 7.0}),
        json!(format!("v{version}")),
        Value::Null,
    )
}

impl Writers {
    pub(crate) async fn begin(stack: &Stack, count: usize) -> Writers {
        let (told, written, stop) = Default::default();
        let url = stack.url();
        let notes = create(&url, "notes").await;
        let mut writers = Writers { told, written, stop, tasks: Vec::new(), notes };
        for n in 0..count {
            let (client, notes) = (writers.client(&url), writers.notes.clone());
            writers.tasks.push(tokio::spawn(records_writer(client, notes, n)));
        }
        writers.tasks.push(tokio::spawn(names_writer(writers.client(&url))));
        writers
    }

    fn client(&self, url: &str) -> Client {
        Client {
            url: url.to_owned(),
            told: Arc::clone(&self.told),
            written: Arc::clone(&self.written),
            stop: Arc::clone(&self.stop),
        }
    }

    pub(crate) async fn until_written(&self, count: usize) {
        until(LONG, "enough is written", async || self.written.load(Ordering::Relaxed) >= count).await;
    }

    pub(crate) async fn end(self, stack: &Stack) -> Book {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer");
        }
        let database = crate::harness::sql::connect(&stack.database_url).await;
        let sql = "SELECT write_id, seq, (extract(epoch FROM timestamp) * 1000)::bigint, \
            to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM wal_pending_writes";
        let rows = database.query(sql, &[]).await.expect("the log");
        let mut positions = BTreeMap::new();
        let mut times = BTreeMap::new();
        for row in rows {
            let seq = u64::try_from(row.get::<_, i64>(1)).expect("a position");
            positions.insert(row.get::<_, String>(0), seq);
            times.insert(seq, (row.get::<_, Option<i64>>(2).unwrap_or_default(), row.get::<_, String>(3)));
        }
        let told = std::mem::take(&mut *self.told.0.lock().expect("a book"));
        let mut lines: Vec<(u64, Left)> =
            told.into_iter().map(|(write, left)| (positions[&write], left)).collect();
        lines.sort_by_key(|(seq, _)| *seq);
        Book { lines, times, notes: self.notes }
    }
}

async fn records_writer(client: Client, notes: String, writer: usize) {
    let mut there: BTreeMap<String, u64> = BTreeMap::new();
    for turn in 0_u64.. {
        if client.stopped() {
            return;
        }
        let id = format!("w{writer}-{}", turn * 7 % 13);
        let tag = turn % 3;
        let fresh = record(writer, tag, turn);
        let row = |record: &Record| json!({"ids": [id], "embeddings": [record.0], "metadatas": [record.1], "documents": [record.2]});
        let left = |id: &str, record: Option<Record>| Left::Record {
            collection: notes.clone(),
            id: id.to_owned(),
            record,
        };
        let (verb, body) = match turn % 5 {
            0 => ("upsert", row(&fresh)),
            1 => ("add", row(&fresh)),
            2 => ("update", row(&fresh)),
            3 => ("delete", json!({"where": {"$and": [{"writer": writer}, {"tag": tag}]}})),
            _ => ("delete", json!({"ids": [id]})),
        };
        let Some((write, _)) = client.write(Method::POST, &format!("/{notes}/{verb}"), &body).await else {
            continue;
        };
        let known = there.contains_key(&id);
        match turn % 5 {
            1 if known => {}
            2 if !known => {}
            0..=2 => {
                client.tell(&write, left(&id, Some(fresh)));
                there.insert(id, tag);
            }
            3 => {
                let gone: Vec<String> =
                    there.iter().filter(|(_, t)| **t == tag).map(|(id, _)| id.clone()).collect();
                for id in gone {
                    client.tell(&write, left(&id, None));
                    there.remove(&id);
                }
            }
            _ => {
                client.tell(&write, left(&id, None));
                there.remove(&id);
            }
        }
    }
}

/// Collections come with a record, are renamed, deleted and made again under the same name.
async fn names_writer(client: Client) {
    for turn in 0_u64.. {
        if client.stopped() {
            return;
        }
        let name = |collection: &str, name: Option<&str>| Left::Name {
            collection: collection.to_owned(),
            name: name.map(str::to_owned),
        };
        let place = format!("place-{}", turn % 2);
        let metadata = json!({"name": place, "metadata": {"turn": turn}});
        let Some((write, made)) = client.write(Method::POST, "", &metadata).await else {
            // Of an attempt whose answer was lost: nobody knows which write it was.
            return;
        };
        let id = made["id"].as_str().expect("an id").to_owned();
        client.tell(&write, name(&id, Some(&place)));
        let row = record(99, 0, turn);
        let body =
            json!({"ids": ["only"], "embeddings": [row.0], "metadatas": [row.1], "documents": [row.2]});
        if let Some((write, _)) = client.write(Method::POST, &format!("/{id}/add"), &body).await {
            let left = Left::Record { collection: id.clone(), id: "only".to_owned(), record: Some(row) };
            client.tell(&write, left);
        }
        let renamed = format!("renamed-{}", turn % 3);
        let Some((write, _)) =
            client.write(Method::PUT, &format!("/{id}"), &json!({"new_name": renamed})).await
        else {
            return;
        };
        client.tell(&write, name(&id, Some(&renamed)));
        // Every third one stays, under a name of its own.
        if turn % 3 == 2 {
            let own = format!("own-{turn}");
            let Some((write, _)) =
                client.write(Method::PUT, &format!("/{id}"), &json!({"new_name": own})).await
            else {
                return;
            };
            client.tell(&write, name(&id, Some(&own)));
            continue;
        }
        let Some((write, _)) = client.write(Method::DELETE, &format!("/{renamed}"), &Value::Null).await
        else {
            return;
        };
        client.tell(&write, name(&id, None));
    }
}

/// What was acknowledged, by position.
pub(crate) struct Book {
    lines: Vec<(u64, Left)>,
    /// When an entry was logged, for programs and for people.
    times: BTreeMap<u64, (i64, String)>,
    notes: String,
}

impl Book {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn between(&self, after: u64, through: u64) -> usize {
        self.lines.iter().filter(|(seq, _)| *seq > after && *seq <= through).count()
    }

    /// A time, and the last position that was logged by then.
    pub(crate) fn a_time_between(&self, after: u64, through: u64) -> (String, u64) {
        let middle = (after + through) / 2;
        let (ms, text) = self.times[&middle].clone();
        let last = (middle..=through).take_while(|seq| self.times[seq].0 <= ms).last();
        (text, last.expect("the middle itself"))
    }

    fn records(&self, collection: &str, position: u64) -> Records {
        let mut records = Records::new();
        for (_, left) in self.lines.iter().filter(|(seq, _)| *seq <= position) {
            if let Left::Record { collection: of, id, record } = left
                && of == collection
            {
                match record {
                    Some(record) => drop(records.insert(id.clone(), record.clone())),
                    None => drop(records.remove(id)),
                }
            }
        }
        records
    }

    /// Id to name.
    fn names(&self, position: u64) -> BTreeMap<String, String> {
        let mut names = BTreeMap::from([(self.notes.clone(), "notes".to_owned())]);
        for (_, left) in self.lines.iter().filter(|(seq, _)| *seq <= position) {
            if let Left::Name { collection, name } = left {
                match name {
                    Some(name) => drop(names.insert(collection.clone(), name.clone())),
                    None => drop(names.remove(collection)),
                }
            }
        }
        names
    }

    pub(crate) async fn assert_notes(&self, stack: &Stack, name: &str, position: u64) {
        let found = read(&stack.url(), name).await.expect("the restored collection");
        let expected = self.records(&self.notes, position);
        assert!(!expected.is_empty());
        assert_eq!(difference(&expected, &found), None, "{name}: acknowledged (first), restored (second)");
    }

    /// The same collections under the same ids and names, with the same records: through the balancer, and on
    /// the node.
    pub(crate) async fn assert_restored(&self, stack: &Stack, position: u64) {
        let (_, listed) = get(&collections_url(&stack.url())).await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let found: BTreeMap<String, String> =
            listed.as_array().expect("a list").iter().map(|c| (text(&c["id"]), text(&c["name"]))).collect();
        let names = self.names(position);
        assert_eq!(found, names, "collections by id: restored, acknowledged");
        for (id, name) in names {
            let expected = self.records(&id, position);
            for url in [stack.url(), stack.nodes[0].url()] {
                let found = read(&url, &name).await.expect("the restored collection");
                assert_eq!(
                    difference(&expected, &found),
                    None,
                    "{name}: acknowledged (first), restored (second)"
                );
            }
        }
    }
}
