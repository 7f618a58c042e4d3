//! Sending against a stub that fails first.

use chroma_ha_core::alert::{Phase, Severity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers one request a line of the script, then counts on nobody calling again; returns the bodies.
async fn stub(script: &'static [&'static str]) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/hunter2", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let mut bodies = Vec::new();
        for head in script {
            let (stream, _) = listener.accept().await.unwrap();
            bodies.push(answer(stream, head).await);
        }
        bodies
    });
    (url, served)
}

/// An empty head closes the connection unanswered.
async fn answer(mut stream: TcpStream, head: &str) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the request ended early");
        request.extend_from_slice(&piece[..read]);
    }
    if !head.is_empty() {
        let response = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        stream.write_all(response.as_bytes()).await.unwrap();
    }
    let request = String::from_utf8(request).unwrap();
    request.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn alert() -> Alert {
    Alert {
        key: "k".into(),
        severity: Severity::Warning,
        phase: Phase::Opened,
        title: "replica-1 is down".into(),
        what: "w".into(),
        effect: "e".into(),
        action: "a".into(),
        at_ms: 0,
    }
}

fn slack(url: &str) -> Slack {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Slack::try_new(Secret::new(url), "test").unwrap()
}

/// What one attempt meets that is answered so.
async fn outcome(script: &'static [&'static str]) -> Result<(), Undelivered> {
    let (url, served) = stub(script).await;
    let outcome = slack(&url).send(&alert()).await;
    let bodies = served.await.unwrap();
    assert!(bodies.len() == 1 && bodies[0].contains("replica-1 is down"), "{bodies:?}");
    outcome
}

fn later(seconds: u64, cause: &str) -> Result<(), Undelivered> {
    Err(Undelivered::Later { not_before: Duration::from_secs(seconds), cause: cause.to_owned() })
}

#[actix_rt::test]
async fn what_may_be_taken_later_is_told_apart_from_what_never_will() {
    assert_eq!(outcome(&["200 OK"]).await, Ok(()));
    assert_eq!(outcome(&["503 Down"]).await, later(0, "Slack answered 503 ok"));
    assert_eq!(outcome(&["429 Slow\r\nretry-after: 30"]).await, later(30, "Slack answered 429 ok"));
    assert_eq!(outcome(&["429 Slow\r\nretry-after: 999999"]).await, later(300, "Slack answered 429 ok"));
    for revoked in
        [&["404 no_service"], &["403 invalid_token"], &["302 Found\r\nlocation: http://localhost:1/"]]
    {
        assert!(matches!(outcome(revoked).await, Err(Undelivered::Refused(_))), "{revoked:?}");
    }
}

#[actix_rt::test]
async fn a_connection_that_closes_or_is_refused_is_for_later() {
    assert!(matches!(outcome(&[""]).await, Err(Undelivered::Later { .. })));
    let (url, served) = stub(&[]).await;
    served.await.unwrap();
    assert!(matches!(slack(&url).send(&alert()).await, Err(Undelivered::Later { .. })));
}

#[actix_rt::test]
async fn no_error_names_the_webhook() {
    let (url, served) = stub(&["404 no_service"]).await;
    let slack = slack(&url);
    let refused = slack.send(&alert()).await.unwrap_err();
    served.await.unwrap();
    let lost = slack.send(&alert()).await.unwrap_err();
    let quoted = slack.shown(&format!("no such hook: {url}, /services/hunter2\n or hunter2"));
    assert_eq!(quoted, "no such hook: ***, /*** or ***");
    for shown in [format!("{refused} {refused:?}"), format!("{lost} {lost:?}"), format!("{slack:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("127.0.0.1"), "{shown}");
    }
}
