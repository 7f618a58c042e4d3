//! What do clients see of the connections that are kept to nodes for reads? Not that a node closes one, not that
//! another client left in the middle; but that an answer breaks off. Nodes behind TLS are read, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::client::get;
use crate::harness::nodes::collections_url;
use crate::harness::raw::Raw;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, metric, until_state, upsert};
use crate::harness::{Balancer, Options, Place, Stack, until};

const SOON: Duration = Duration::from_secs(60);

async fn over(place: &Place, node_url: String, env: &[(&str, String)]) -> Balancer {
    let all =
        [("DATABASE_URL", database().await), ("PRIMARY_URL", node_url), ("PROBE_TIMEOUT", "20".to_owned())];
    let all = all.into_iter().chain(env.iter().cloned()).map(|(name, value)| (name.to_owned(), value));
    Balancer::start(all.collect(), place.join("balancer.log")).await
}

/// A node that answers what it is asked, but treats some requests in ways of their own.
#[derive(Default)]
struct Node {
    /// Requests that were left without a word.
    silent: AtomicUsize,
    /// Endless answers under way.
    endless: AtomicUsize,
}

impl Node {
    async fn start() -> (String, Arc<Node>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let node = Arc::new(Node::default());
        let serving = Arc::clone(&node);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let node = Arc::clone(&serving);
                tokio::spawn(async move { node.serve(socket).await });
            }
        });
        (format!("http://127.0.0.1:{port}"), node)
    }

    /// Returns, and so closes, with an answer unfinished.
    async fn serve(&self, mut socket: TcpStream) -> std::io::Result<()> {
        const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let (mut asked, mut bytes, mut once) = (Vec::new(), vec![0; 1 << 14], false);
        loop {
            let read = socket.read(&mut bytes).await?;
            if read == 0 {
                return Ok(());
            }
            asked.extend_from_slice(&bytes[..read]);
            let Some(head) = String::from_utf8_lossy(&asked).strip_suffix("\r\n\r\n").map(str::to_owned)
            else {
                continue;
            };
            asked.clear();
            let is = |mark: &str| head.contains(mark);
            if is("?once") && once {
                self.silent.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            once |= is("?once");
            if is("?cut") {
                return socket.write_all(format!("{HEAD}content-length: 9000\r\n\r\n\"1").as_bytes()).await;
            }
            if is("?chunks") {
                let text = format!("{HEAD}transfer-encoding: chunked\r\n\r\n2\r\n\"1\r\n");
                return socket.write_all(text.as_bytes()).await;
            }
            if is("?endless") {
                self.endless.fetch_add(1, Ordering::SeqCst);
                let ended = endless(&mut socket, HEAD).await;
                self.endless.fetch_sub(1, Ordering::SeqCst);
                return ended;
            }
            socket.write_all(format!("{HEAD}content-length: 5\r\n\r\n\"1.0\"").as_bytes()).await?;
        }
    }
}

async fn endless(socket: &mut TcpStream, head: &str) -> std::io::Result<()> {
    socket.write_all(format!("{head}content-length: 900000000000\r\n\r\n").as_bytes()).await?;
    loop {
        socket.write_all(&[b' '; 1 << 14]).await?;
    }
}

/// A client whose request has been sent.
async fn asking(balancer: &Balancer, mark: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", balancer.port())).await.expect("the balancer");
    let request = format!("GET /api/v2/version?{mark} HTTP/1.1\r\nhost: x\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("a written request");
    socket
}

#[tokio::test]
async fn no_client_hears_of_a_connection_that_its_node_closed() {
    let place = Place::new("closed");
    let (url, node) = Node::start().await;
    let balancer = over(&place, url, &[]).await;
    for n in 0..40 {
        let (status, answer) = get(&format!("{}/api/v2/version?once", balancer.url())).await;
        assert_eq!((status, answer.as_str()), (200, Some("1.0")), "read {n}");
    }
    assert!(node.silent.load(Ordering::SeqCst) > 10, "kept connections were used, and closed unanswered");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let place = Place::new("cut");
    let (url, _node) = Node::start().await;
    let balancer = over(&place, url, &[]).await;
    for mark in ["cut", "chunks"] {
        let mut answer = Vec::new();
        let mut socket = asking(&balancer, mark).await;
        // Closed or reset, as it comes.
        let _ = tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await.expect("an end");
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("http/1.1 200"), "{text}");
        assert!(head.contains("content-length: 9000") || head.contains("chunked"), "{text}");
        assert!(body.len() < 9000 && !body.ends_with("0\r\n\r\n"), "{text}");
    }
    assert_eq!(get(&format!("{}/api/v2/version", balancer.url())).await.0, 200);
}

#[tokio::test]
async fn who_leaves_or_takes_nothing_blocks_no_connection() {
    let place = Place::new("left");
    let (url, node) = Node::start().await;
    let balancer = over(&place, url, &[("CONNECTION_POOL_SIZE", "1".to_owned())]).await;
    let version = format!("{}/api/v2/version", balancer.url());
    let endless = || node.endless.load(Ordering::SeqCst);
    let mut clients = Vec::new();
    for n in 1..=20 {
        clients.push(asking(&balancer, "endless").await);
        until(SOON, "the node answers each", async || endless() == n).await;
    }
    assert_eq!(get(&version).await.0, 200);
    let stay = clients.split_off(15);
    drop(clients);
    until(SOON, "the node is left with them", async || endless() == stay.len()).await;
    assert_eq!(get(&version).await.0, 200);
    drop(stay);
    until(SOON, "the node is left by all", async || endless() == 0).await;
}

/// What no node can be asked says nothing about nodes.
#[tokio::test]
async fn odd_targets_leave_the_nodes_up() {
    let stack = Stack::start(Options { nodes: 1, ..Options::default() }).await;
    let url = stack.url();
    until_state(&url, "primary", "up").await;
    let long = format!("/api/v2/version?{}", "x".repeat(60_000));
    for (target, status) in [("http://h?x", 404), ("http://h", 404), (&long, 414), ("/?x", 404)] {
        // More often than FAILURE_THRESHOLD.
        for _ in 0..5 {
            let mut raw = Raw::to(&stack).await;
            raw.send(&format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
            let answer = raw.answer(SOON).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target:.20}: {answer}");
        }
    }
    assert_eq!(metric(&url, "chroma_ha_node_state{node=\"primary\",state=\"up\"}").await, 1.0);
    assert_eq!(
        metric(&url, "chroma_ha_node_state_changes_total{node=\"primary\",to=\"suspect\"}").await,
        0.0
    );
}

/// TLS before a server, with a certificate for `localhost`; its address, and the file with its authority.
async fn encrypted(place: &Place, server_port: u16) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "ours");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &ca).expect("a certificate");
    let file = place.join("ca.pem");
    std::fs::write(&file, ca.pem()).expect("a file");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = config.expect("versions").with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], secret).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(socket).await?;
                let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (format!("https://localhost:{port}"), file.display().to_string())
}

#[tokio::test]
async fn a_node_behind_tls_is_read_and_written() {
    let place = Place::new("tls");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let (url, authority) = encrypted(&place, node.port()).await;
    let balancer = over(&place, url, &[("NODE_CA_FILE", authority)]).await;
    let id = create(&balancer.url(), "behind").await;
    upsert(&balancer.url(), &id, "a", "text").await;
    for _ in 0..3 {
        let (status, count) = get(&format!("{}/{id}/count", collections_url(&balancer.url()))).await;
        assert_eq!((status, count), (200, serde_json::json!(1)));
    }
}
