//! Which connection a read goes over, when it is sent again, and that a body that breaks off is no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::{AuthHeader, NodeAuth, NodeConfig, RedactedUrl, Secret};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A node that treats each of its connections in this way; how many it accepted.
async fn node<F>(treat: fn(TcpStream, usize) -> F) -> (Connections, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:p%40ss@{}/prefix", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(treat(socket, count.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (to(url), accepted)
}

fn to(url: String) -> Connections {
    let config = NodeConfig { id: NodeId::PRIMARY, url: RedactedUrl::new(url), auth: None };
    Connections::new(&[Arc::new(Address::new(&config, None).unwrap())], 4)
}

fn question(body: &'static [u8], wait: Duration) -> Question<'static> {
    let headers: Vec<(&str, &[u8])> = vec![("x-a", b"1"), ("x-a", b"2"), ("authorization", b"of-the-client")];
    Question { method: "POST", path: "/get?x", headers, body: Bytes::from_static(body), wait, losses: 0 }
}

async fn ask(connections: &Connections, body: &'static [u8]) -> Result<Answer, Unanswered> {
    connections.ask(NodeId::PRIMARY, &question(body, Duration::from_secs(10))).await
}

/// The next request, whose body is `{}`.
async fn request(socket: &mut TcpStream) -> Option<String> {
    let (mut all, mut bytes) = (Vec::new(), [0; 1 << 12]);
    while !all.ends_with(b"{}") {
        match socket.read(&mut bytes).await.unwrap_or(0) {
            0 => return None,
            read => all.extend_from_slice(&bytes[..read]),
        }
    }
    Some(String::from_utf8(all).unwrap())
}

async fn say(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
}

#[actix_rt::test]
async fn one_connection_serves_one_request_after_the_other() {
    let (connections, accepted) = node(|mut socket, _| async move {
        while let Some(head) = request(&mut socket).await {
            let port = socket.local_addr().unwrap().port();
            let expected = format!(
                "POST /prefix/get?x HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\
                authorization: Basic dXNlcjpwQHNz\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 2\r\n\r\n{{}}"
            );
            say(&mut socket, if head == expected { OK } else { "HTTP/1.1 400 Other\r\n\r\n" }).await;
        }
    })
    .await;
    for _ in 0..3 {
        let answer = ask(&connections, b"{}").await.unwrap();
        assert_eq!((answer.status, answer.length()), (200, Some(2)));
        assert_eq!(answer.whole().await.unwrap(), "ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[actix_rt::test]
async fn an_answer_in_chunks_leaves_its_connection_to_the_next() {
    let (connections, accepted) = node(|mut socket, _| async move {
        while request(&mut socket).await.is_some() {
            say(&mut socket, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
            tokio::task::yield_now().await;
            say(&mut socket, "2\r\nay\r\n0\r\n\r\n").await;
        }
    })
    .await;
    for _ in 0..3 {
        assert_eq!(ask(&connections, b"{}").await.unwrap().whole().await.unwrap(), "okay");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[actix_rt::test]
async fn an_answer_that_is_not_taken_to_its_end_costs_its_connection() {
    let (connections, accepted) = node(|mut socket, _| async move {
        while request(&mut socket).await.is_some() {
            say(&mut socket, OK).await;
        }
    })
    .await;
    drop(ask(&connections, b"{}").await.unwrap());
    assert_eq!(ask(&connections, b"{}").await.unwrap().whole().await.unwrap(), "ok");
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

/// A node closes what was idle for long; whoever asks just then is not to suffer.
#[actix_rt::test]
async fn a_connection_that_is_closed_unanswered_is_replaced_and_a_new_one_is_not() {
    let (connections, accepted) = node(|mut socket, n| async move {
        let last = if n == 0 { 1 } else { usize::from(n == 1) };
        for _ in 0..last {
            request(&mut socket).await;
            say(&mut socket, OK).await;
        }
        // Asked once more, it goes without a word.
        request(&mut socket).await;
    })
    .await;
    for _ in 0..2 {
        assert_eq!(ask(&connections, b"{}").await.unwrap().whole().await.unwrap(), "ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2, "the second went over a new one");
    let fault = ask(&connections, b"{}").await.err().unwrap();
    assert!(matches!(fault, Unanswered::Fault(NodeFault::Lost(_))), "{fault:?}");
    assert_eq!(accepted.load(Ordering::SeqCst), 3, "once, and no more");
}

#[actix_rt::test]
async fn a_long_body_may_be_refused_before_it_was_taken() {
    let (connections, accepted) = node(|mut socket, _| async move {
        let _some = socket.read(&mut [0; 100]).await;
        say(&mut socket, "HTTP/1.1 413 Too Long\r\ncontent-length: 2\r\n\r\nno").await;
        // Held open without reading.
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    static LONG: [u8; 32 << 20] = [b'x'; 32 << 20];
    for n in 1..3 {
        let answer = ask(&connections, &LONG).await.unwrap();
        assert_eq!(answer.status, 413);
        assert_eq!(answer.whole().await.unwrap(), "no");
        assert_eq!(accepted.load(Ordering::SeqCst), n, "half a request is in that connection");
    }
}

#[actix_rt::test]
async fn a_request_that_is_answered_early_is_not_sent_to_its_end() {
    static LONG: [u8; 32 << 20] = [b'x'; 32 << 20];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connections = to(format!("http://{}", listener.local_addr().unwrap()));
    let (left, when_left) = tokio::sync::oneshot::channel();
    let node = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _some = socket.read(&mut [0; 100]).await;
        say(&mut socket, "HTTP/1.1 413 Too Long\r\ncontent-length: 2\r\n\r\nno").await;
        when_left.await.unwrap();
        let mut rest = Vec::new();
        let _closed_or_reset = socket.read_to_end(&mut rest).await;
        rest.len()
    });
    assert_eq!(ask(&connections, &LONG).await.unwrap().whole().await.unwrap(), "no");
    left.send(()).unwrap();
    assert!(node.await.unwrap() < LONG.len() - 100);
}

#[actix_rt::test]
async fn a_body_that_breaks_off_or_stops_is_told_as_such() {
    let (connections, _) = node(|mut socket, n| async move {
        request(&mut socket).await;
        say(&mut socket, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
        if n == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let fault = ask(&connections, b"{}").await.unwrap().whole().await.err().unwrap();
    assert!(matches!(fault, NodeFault::Lost(_)), "{fault}");
    let short = Duration::from_millis(200);
    let answer = connections.ask(NodeId::PRIMARY, &question(b"{}", short)).await.unwrap();
    let (mut stream, begun) = (Box::pin(answer.stream()), std::time::Instant::now());
    assert_eq!(stream.try_next().await.unwrap().unwrap(), "ok");
    assert_eq!(stream.try_next().await, Err(NodeFault::Timeout(200)));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(stream.try_next().await, Ok(None));
}

#[actix_rt::test]
async fn what_nobody_used_for_long_is_closed_and_no_more_than_told_is_kept() {
    let (connections, accepted) = node(|mut socket, _| async move {
        while request(&mut socket).await.is_some() {
            say(&mut socket, OK).await;
        }
    })
    .await;
    let asked =
        futures_util::future::join_all((0..6).map(|_| async { ask(&connections, b"{}").await.unwrap() }));
    for answer in asked.await {
        answer.whole().await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 6);
    let pool = &connections.nodes[0];
    assert_eq!(pool.idle.borrow().len(), 4);
    let Some(long_ago) = std::time::Instant::now().checked_sub(IDLE_TIMEOUT) else { return };
    pool.idle.borrow_mut().iter_mut().take(3).for_each(|(_, since)| *since = long_ago);
    connections.sweep();
    assert_eq!(pool.idle.borrow().len(), 1);
}

/// One is the proxy's before the node, the other its own.
#[actix_rt::test]
async fn a_credential_in_the_url_and_a_token_are_both_sent() {
    let token = NodeAuth { header: AuthHeader::ChromaToken, token: Secret::new("t".to_owned()) };
    let url = RedactedUrl::new("http://user:pw@127.0.0.1:1".to_owned());
    let config = NodeConfig { id: NodeId::PRIMARY, url, auth: Some(token) };
    let own = Address::new(&config, None).unwrap().own;
    assert_eq!(
        (own["authorization"].as_bytes(), own["x-chroma-token"].as_bytes()),
        (&b"Basic dXNlcjpwdw=="[..], &b"t"[..])
    );
}

#[test]
fn a_name_that_tls_does_not_know_is_refused_at_once() {
    let url = RedactedUrl::new(format!("https://{}.example", "x".repeat(64)));
    let config = NodeConfig { id: NodeId::PRIMARY, url, auth: None };
    let refused = Address::new(&config, None).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("no name that TLS knows"), "{refused}");
}

#[actix_rt::test]
async fn nobody_there_is_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connections = to(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    assert_eq!(ask(&connections, b"{}").await.err(), Some(Unanswered::Fault(NodeFault::Refused)));
}

/// A certificate of nobody who is known: nothing is sent, and it is told why.
#[actix_rt::test]
async fn an_impostor_is_no_node() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let versions =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = versions.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(socket).await.map(drop)
    });
    let refused = ask(&to(url), b"{}").await.err();
    assert!(
        matches!(&refused, Some(Unanswered::Fault(NodeFault::Untrusted(why))) if why.contains("UnknownIssuer")),
        "{refused:?}"
    );
}

/// An answer without a body leaves its connection to the next, although nobody asks for its end.
#[actix_rt::test]
async fn an_empty_answer_keeps_its_connection() {
    let (connections, accepted) = node(|mut socket, _| async move {
        while request(&mut socket).await.is_some() {
            say(&mut socket, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    for _ in 0..3 {
        drop(ask(&connections, b"{}").await.unwrap());
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

/// A name may lead elsewhere when its node is back.
#[actix_rt::test]
async fn no_connection_outlives_a_loss_of_its_node() {
    let (connections, accepted) = node(|mut socket, _| async move {
        while request(&mut socket).await.is_some() {
            say(&mut socket, OK).await;
        }
    })
    .await;
    let asked = async |losses| {
        let question = Question { losses, ..question(b"{}", Duration::from_secs(10)) };
        connections.ask(NodeId::PRIMARY, &question).await.unwrap()
    };
    let under_way = asked(0).await;
    // Given back after the loss.
    under_way.whole().await.unwrap();
    for _ in 0..2 {
        asked(1).await.whole().await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[actix_rt::test]
async fn what_cannot_be_put_in_http_is_no_fault_of_a_node() {
    let (connections, accepted) = node(|_, _| async {}).await;
    let long = format!("/{}", "x".repeat(1 << 16));
    let question = Question { path: &long, ..question(b"{}", Duration::from_secs(10)) };
    let unfit = connections.ask(NodeId::PRIMARY, &question).await.err().unwrap();
    assert!(matches!(unfit, Unanswered::Unfit(_)), "{unfit:?}");
    assert_eq!(accepted.load(Ordering::SeqCst), 0);
}
