//! A node that knows names and ids and answers everything else at once, far quicker than any proxy: what is
//! measured before it is the proxy. It keeps no record.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener as Listener};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::wire::Inbox;

/// As Chroma answers `get` of one record without its embedding.
const RECORD: &str = r#"{"ids":["r0"],"embeddings":null,"documents":["a short text of a few words"],"uris":null,"metadatas":[{"source":"bench"}],"include":["documents","metadatas"]}"#;

pub(crate) struct Stub {
    port: u16,
    names: Arc<Mutex<Names>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Collections in the order of their creation, by name and by place.
#[derive(Default)]
struct Names {
    ids: HashMap<String, Uuid>,
    order: Vec<String>,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut stub = Self { port, names: Arc::default(), running: None };
        stub.run(listener);
        stub
    }

    fn run(&mut self, listener: Listener) {
        let (stop, stopped) = oneshot::channel();
        let names = Arc::clone(&self.names);
        let serve = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                listener.set_nonblocking(true).expect("a socket");
                let listener = TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, names) => {}
                }
            });
        };
        self.running = Some((stop, thread::spawn(serve)));
    }

    /// Connections break, new ones are refused.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _already_gone = stop.send(());
            thread.join().expect("a stub that did not panic");
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, names: Arc<Mutex<Names>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&names)));
    }
}

async fn serve(mut stream: TcpStream, names: Arc<Mutex<Names>>) {
    let _for_latency = stream.set_nodelay(true);
    let mut inbox = Inbox::default();
    while let Ok(true) = inbox.read(&mut stream).await {
        let (status, body) = answer(inbox.first_line(), inbox.body(), &names);
        let length = body.len();
        let reason = if status < 300 { "OK" } else { "Not Found" };
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        if stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.is_err() || inbox.closes {
            return;
        }
    }
}

fn answer(line: &str, body: &[u8], names: &Mutex<Names>) -> (u16, String) {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "get") => (200, record(body)),
        ("POST", "query") => (200, RECORD.replace("[\"r0\"]", "[[\"r0\"]]")),
        ("GET", "count") => (200, "1000".to_owned()),
        ("POST", "upsert" | "update" | "delete") => (200, "{}".to_owned()),
        ("POST", "add") => (201, "{}".to_owned()),
        ("GET", "heartbeat") => (200, r#"{"nanosecond heartbeat":1}"#.to_owned()),
        ("GET", "pre-flight-checks") => {
            (200, r#"{"max_batch_size":5461,"supports_base64_encoding":true}"#.to_owned())
        }
        _ => catalog(method, path, query, body, &mut names.lock().expect("names")),
    }
}

/// So many KiB as `limit` says: for answers of a wanted size.
fn record(body: &[u8]) -> String {
    let limit = serde_json::from_slice(body).ok().and_then(|asked: Value| asked["limit"].as_u64());
    let Some(kib) = limit else { return RECORD.to_owned() };
    let size = usize::try_from(kib << 10).unwrap_or_default();
    json!({"ids": ["r0"], "documents": ["x".repeat(size)], "include": ["documents"]}).to_string()
}

fn catalog(method: &str, path: &str, query: &str, body: &[u8], names: &mut Names) -> (u16, String) {
    let parts: Vec<&str> = path.trim_start_matches("/api/v2/").split('/').collect();
    let shown = |name: &str, id: &Uuid| {
        json!({"id": id, "name": name, "tenant": "default_tenant", "database": "default_database",
            "metadata": null, "dimension": null, "configuration_json": {}, "schema": null, "version": 0, "log_position": 0})
    };
    let database = || json!({"id": Uuid::nil(), "name": "default_database", "tenant": "default_tenant"});
    let found = match (method, parts.as_slice()) {
        ("GET", ["tenants", tenant]) => json!({"name": tenant}),
        ("GET", ["tenants", _, "databases"]) => json!([database()]),
        ("GET", ["tenants", _, "databases", _]) => database(),
        ("GET", [.., "collections"]) => {
            let number = |name| query.split('&').find_map(|pair| pair.strip_prefix(name)?.parse().ok());
            let page = names.order.iter().skip(number("offset=").unwrap_or(0));
            page.take(number("limit=").unwrap_or(usize::MAX))
                .map(|name| shown(name, &names.ids[name]))
                .collect()
        }
        ("GET", [.., "collections_count"]) => json!(names.order.len()),
        ("POST", [.., "collections"]) => {
            let asked: Value = serde_json::from_slice(body).unwrap_or_default();
            let name = asked["name"].as_str().unwrap_or_default().to_owned();
            let id = *names.ids.entry(name.clone()).or_insert_with(|| {
                names.order.push(name.clone());
                Uuid::new_v4()
            });
            shown(&name, &id)
        }
        ("GET", [.., "collections", name]) => match names.ids.get(*name) {
            Some(id) => shown(name, id),
            None => return (404, r#"{"error":"NotFoundError","message":"no such collection"}"#.to_owned()),
        },
        _ => json!({}),
    };
    (200, found.to_string())
}
