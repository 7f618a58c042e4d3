//! Is what is said encrypted, to clients, between balancers and to nodes, and is nobody trusted who cannot prove
//! who he is? And is a certificate replaced without a request that fails?

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::keys::{lines, secret};
use crate::harness::nodes::collections_url;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::tls::{Authority, Files, client_of, encrypted};
use crate::harness::{Balancer, Place, Verb, get, until};

const SOON: Duration = Duration::from_secs(30);

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let settled = [("BIND_ADDRESS", "127.0.0.1"), ("ADVERTISE_URL", ""), ("PROBE_TIMEOUT", "5")];
    let all = settled.iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a path")
}

fn https(balancer: &Balancer) -> String {
    format!("https://127.0.0.1:{}", balancer.port())
}

/// Status and JSON; the error as text where there is no answer.
async fn ask(
    client: &Client,
    method: Method,
    url: &str,
    key: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), String> {
    let mut request = client.request(method, url).header("x-chroma-token", key);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

async fn until_ready(client: &Client, balancer: &Balancer) {
    let ready = format!("{}/readyz", https(balancer));
    until(SOON, "the balancer serves over TLS", async || {
        ask(client, Method::GET, &ready, "", None).await.is_ok_and(|(status, _)| status == 200)
    })
    .await;
}

async fn create(client: &Client, balancer: &Balancer, key: &str, name: &str) -> (u16, Value) {
    let url = collections_url(&https(balancer));
    ask(client, Method::POST, &url, key, Some(&json!({"name": name}))).await.expect("an answer")
}

fn record(n: usize) -> Value {
    json!({"ids": [format!("r{n}")], "embeddings": [[1, 2, 3]], "documents": ["text"]})
}

/// What a verb says to the balancer on this machine.
async fn verb(balancer: &Balancer, words: &[&str], files: &Files) -> (i32, String) {
    let verb = Verb::of(words).env("PORT", balancer.port().to_string());
    let ended = verb.env("TLS_CERT_FILE", &files.certificate).ended().await;
    (ended.code, ended.said())
}

#[tokio::test]
async fn a_certificate_is_replaced_and_no_request_fails() {
    let place = Place::new("tls");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let files = Files::at(place.path(), "balancer");
    first.issue(&["balancer.test", "127.0.0.1"], &files);
    let variables = env(&[
        ("DATABASE_URL", &database().await),
        ("PRIMARY_URL", &node.url()),
        ("TLS_CERT_FILE", path(&files.certificate)),
        ("TLS_KEY_FILE", path(&files.key)),
    ]);
    let balancer = Balancer::launched(variables, place.join("balancer.log"));
    let (old, new, both) = (client_of(&[&first]), client_of(&[&second]), client_of(&[&first, &second]));
    until_ready(&old, &balancer).await;
    let (status, made) = create(&old, &balancer, "", "kept").await;
    assert_eq!(status, 200, "{made}");
    let status = format!("{}/status", https(&balancer));
    let holder = ask(&old, Method::GET, &status, "", None).await.expect("an answer").1["holder"].clone();
    assert_eq!(holder, json!(https(&balancer)), "it is advertised with the scheme that it serves");
    assert!(
        ask(&new, Method::GET, &status, "", None).await.is_err(),
        "who trusts somebody else is not served"
    );
    let plain = format!("http://127.0.0.1:{}/health", balancer.port());
    assert!(ask(&old, Method::GET, &plain, "", None).await.is_err(), "nothing is served without TLS");
    for words in [&["health"][..], &["status"]] {
        let (code, text) = verb(&balancer, words, &files).await;
        assert_eq!(code, 0, "{words:?}: {text}");
    }

    let upserts =
        format!("{}/{}/upsert", collections_url(&https(&balancer)), made["id"].as_str().expect("an id"));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let busy = tokio::spawn(async move {
        let mut count = 0;
        while !*stopped.borrow() {
            count += 1;
            let heard = ask(&both, Method::POST, &upserts, "", Some(&record(count))).await;
            assert!(matches!(heard, Ok((200, _))), "{heard:?}");
        }
        count
    });
    second.issue(&["balancer.test", "127.0.0.1"], &files);
    until(SOON, "the new one is shown", async || ask(&new, Method::GET, &status, "", None).await.is_ok())
        .await;
    // Whoever was here before may resume what he began with the old one.
    let fresh = client_of(&[&first]);
    assert!(ask(&fresh, Method::GET, &status, "", None).await.is_err(), "the old one is gone");
    // A key that does not fit changes nothing, and is told.
    std::fs::write(&files.certificate, second.pem()).expect("a file");
    let fault = async || {
        let seen = ask(&new, Method::GET, &status, "", None).await.expect("an answer").1;
        seen["access"]["certificate_fault"].as_str().unwrap_or_default().to_owned()
    };
    until(SOON, "the fault is told", async || fault().await.contains("does not fit the certificate")).await;
    assert!(balancer.log().contains("the last good one is shown"), "{}", balancer.log());
    assert_eq!(verb(&balancer, &["health"], &files).await.0, 0, "a broken file makes nobody ill");
    stop.send(true).expect("a task");
    assert!(busy.await.expect("no request failed") > 0);
}

/// Whoever offers TLS, with this protocol.
async fn handshake(
    port: u16,
    authority: &Authority,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("balancer.test").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// Byte after byte, for as long as the other side takes them.
async fn dribbled(session: &mut TlsStream<TcpStream>, heard: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    loop {
        match timeout(Duration::from_millis(200), session.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => heard.extend_from_slice(&buffer[..count]),
            Ok(_) => return,
            Err(_) if session.write_all(b"G").await.is_err() || session.flush().await.is_err() => return,
            Err(_) => {}
        }
    }
}

#[tokio::test]
async fn who_begins_tls_and_does_not_end_it_holds_no_place() {
    let place = Place::new("tls");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let authority = Authority::new("ours");
    let files = Files::at(place.path(), "balancer");
    authority.issue(&["balancer.test", "127.0.0.1"], &files);
    let variables = env(&[
        ("DATABASE_URL", &database().await),
        ("PRIMARY_URL", &node.url()),
        ("TLS_CERT_FILE", path(&files.certificate)),
        ("TLS_KEY_FILE", path(&files.key)),
        ("CLIENT_IDLE_TIMEOUT", "1"),
        ("MAX_CONNECTIONS", "4"),
        ("WORKERS", "1"),
        ("CLIENT_TIMEOUT", "3"),
    ]);
    let balancer = Balancer::launched(variables, place.join("balancer.log"));
    let client = client_of(&[&authority]);
    until_ready(&client, &balancer).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(("127.0.0.1", balancer.port())).await.expect("the balancer"));
    }
    let begun = Instant::now();
    let (status, _) = create(&client, &balancer, "", "meanwhile").await;
    assert_eq!(status, 200);
    for mut socket in silent {
        let closed = tokio::time::timeout(SOON, socket.read(&mut [0; 64])).await.expect("it is closed");
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }
    println!("they were let go within {:?}", begun.elapsed());
    // What is bounded is bounded for HTTP/1.1.
    let mut session = handshake(balancer.port(), &authority, b"http/1.1").await.expect("a handshake");
    assert_eq!(session.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    // Who asks once, and then dribbles a head that never ends, is let go as over plain HTTP.
    session.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a written request");
    let mut heard = Vec::new();
    timeout(SOON, dribbled(&mut session, &mut heard)).await.expect("the connection is closed in time");
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.starts_with("HTTP/1.1 200 ") && heard.matches("HTTP/1.1 ").count() == 1, "{heard}");
    assert!(handshake(balancer.port(), &authority, b"h2").await.is_err());
}

#[tokio::test]
async fn balancers_pass_requests_on_over_tls_with_the_clients_key() {
    let place = Place::new("tls");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let (ours, strange) = (Authority::new("ours"), Authority::new("strange"));
    let trusted = ours.file(place.join("ours.pem"));
    let keys = lines(&[("writer", "write"), ("reader", "read"), ("bound", "write tenant=other")]);
    let (url, log) = (node.url(), database().await);
    let start = |name: &str, authority: &Authority, names: &[&str], trusted: &std::path::Path| {
        let files = Files::at(place.path(), name);
        authority.issue(names, &files);
        let variables = env(&[
            ("DATABASE_URL", &log),
            ("PRIMARY_URL", &url),
            ("API_KEYS", &keys),
            ("TLS_CERT_FILE", path(&files.certificate)),
            ("TLS_KEY_FILE", path(&files.key)),
            ("ADVERTISE_CA_FILE", path(trusted)),
            ("LEASE_TIME", "3"),
        ]);
        Balancer::launched(variables, place.join(&format!("{name}.log")))
    };
    // Also for the clients that are put together here.
    let client = client_of(&[&ours]);
    // The holder is reached by its address, and known by the service's name.
    let holder = start("holder", &ours, &["balancer.test"], &trusted);
    let by_name = |port: u16| async move {
        let there = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Client::builder().no_proxy().resolve("balancer.test", there)
    };
    let certificate =
        |authority: &Authority| reqwest::Certificate::from_pem(authority.pem().as_bytes()).expect("PEM");
    let builder = by_name(holder.port()).await.add_root_certificate(certificate(&ours));
    let direct = builder.build().expect("a client");
    let ready = format!("https://balancer.test:{}/readyz", holder.port());
    until(SOON, "the holder serves", async || {
        ask(&direct, Method::GET, &ready, "", None).await.is_ok_and(|(status, _)| status == 200)
    })
    .await;
    let standby = start("standby", &ours, &["balancer.test", "127.0.0.1"], &trusted);
    until_ready(&client, &standby).await;
    let writer = secret("writer");
    let (status, made) = create(&client, &standby, &writer, "passed-on").await;
    assert_eq!(status, 200, "{made}");
    assert!(holder.log().contains("key=\"writer\""), "the holder judged and told it: {}", holder.log());
    let id = made["id"].as_str().expect("an id");
    let count = format!("{}/{id}/count", collections_url(&https(&standby)));
    for (key, expected) in [("writer", 200), ("reader", 200), ("bound", 404), ("nobody", 401)] {
        let heard = ask(&client, Method::GET, &count, &secret(key), None).await.expect("an answer");
        assert_eq!(heard.0, expected, "{key}: {}", heard.1);
    }
    let refused = create(&client, &standby, &secret("reader"), "no").await;
    assert_eq!(refused.0, 403, "{}", refused.1);
    // Nothing is sent to whoever cannot prove that it is a balancer: here the holder, to one that knows others.
    let others = strange.file(place.join("strange.pem"));
    let stranger = start("stranger", &strange, &["balancer.test", "127.0.0.1"], &others);
    let client = client_of(&[&strange]);
    until_ready(&client, &stranger).await;
    let (status, answer) = create(&client, &stranger, &writer, "refused").await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer.to_string().contains("cannot be reached from this one"), "{answer}");
    assert!(!stranger.log().contains("planted") && !holder.log().contains("planted"));
}

/// The state of the first node and why.
async fn node(balancer: &Balancer) -> (String, String) {
    let (_, status) = get(&format!("{}/status", balancer.url())).await;
    let node = &status["nodes"][0];
    (node["state"].as_str().unwrap_or_default().to_owned(), node["reason"].to_string())
}

#[tokio::test]
async fn a_node_behind_tls_serves_reads_and_writes_and_an_impostor_none() {
    let place = Place::new("tls");
    let real = start_nodes(&place, 1, false).await.remove(0);
    let (ours, strange) = (Authority::new("ours"), Authority::new("strange"));
    let trusted = ours.file(place.join("ours.pem"));
    let issued = |name: &str, authority: &Authority, host: &str| {
        let files = Files::at(place.path(), name);
        authority.issue(&[host], &files);
        files
    };
    let good = encrypted(real.port(), &issued("good", &ours, "localhost")).await;
    let wrong_host = encrypted(real.port(), &issued("host", &ours, "somewhere.test")).await;
    let wrong_authority = encrypted(real.port(), &issued("authority", &strange, "localhost")).await;
    let over = async |port: u16| {
        [
            ("DATABASE_URL", database().await),
            ("PRIMARY_URL", format!("https://localhost:{port}")),
            ("NODE_CA_FILE", path(&trusted).to_owned()),
            ("PRIMARY_AUTH_TOKEN", "of-the-node".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    };
    let balancer = Balancer::start(over(good).await, place.join("good.log")).await;
    until(SOON, "the node is up", async || node(&balancer).await.0 == "up").await;
    let id = crate::harness::surface::create(&balancer.url(), "encrypted").await;
    crate::harness::surface::upsert(&balancer.url(), &id, "r", "text").await;
    assert_eq!(crate::harness::surface::document(&balancer.url(), &id, "r").await, "text");
    for (port, name, says) in
        [(wrong_host, "host", "not valid for"), (wrong_authority, "authority", "UnknownIssuer")]
    {
        let variables = over(port).await;
        let balancer = Balancer::launched(variables.clone(), place.join(&format!("{name}.log")));
        let told = async || match chroma_ha::dev::http_status(balancer.port(), "/health").await {
            Some(_) => node(&balancer).await.1,
            None => String::new(),
        };
        until(SOON, "the reason is told", async || {
            let reason = told().await;
            reason.contains("its certificate is refused") && reason.contains(says)
        })
        .await;
        let (status, answer) = get(&format!("{}/api/v2/version", balancer.url())).await;
        assert_eq!(status, 503, "{answer}");
        assert!(!balancer.log().contains("of-the-node"), "{}", balancer.log());
        let text = Verb::of(&["check"]).envs(variables).ended().await.err;
        let line = text.lines().find(|line| line.starts_with("primary ")).unwrap_or_default();
        assert!(line.contains("problem") && line.contains("certificate"), "{text}");
    }
}
