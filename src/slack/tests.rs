//! Sending against a stub that fails first.

use std::time::Instant;

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

fn sender(url: &str, attempts: u32) -> Slack {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let quick = Backoff::try_new(Duration::from_millis(1), 2, Duration::from_millis(5)).unwrap();
    Slack::new(Secret::new(url), "test", Client::new()).unwrap().with_retries(quick, attempts)
}

#[actix_rt::test]
async fn it_tries_again_until_slack_takes_it() {
    let (url, served) = stub(&["503 Down", "", "500 Oops", "200 OK"]).await;
    sender(&url, 6).send(&alert()).await.unwrap();
    let bodies = served.await.unwrap();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| body == &bodies[0] && body.contains("replica-1 is down")), "{bodies:?}");
}

#[actix_rt::test]
async fn it_waits_as_long_as_slack_asks() {
    let (url, served) = stub(&["429 Slow\r\nretry-after: 1", "200 OK"]).await;
    let start = Instant::now();
    sender(&url, 6).send(&alert()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(served.await.unwrap().len(), 2);
}

#[actix_rt::test]
async fn a_revoked_webhook_is_not_tried_again() {
    let (url, served) = stub(&["404 no_service"]).await;
    let error = sender(&url, 6).send(&alert()).await.unwrap_err();
    assert!(matches!(error, SlackError::Refused(404)), "{error}");
    served.await.unwrap();
}

#[actix_rt::test]
async fn it_gives_up_without_naming_the_webhook() {
    let (url, served) = stub(&["500 Oops"]).await;
    let slack = sender(&url, 3);
    let error = slack.send(&alert()).await.unwrap_err();
    served.await.unwrap();
    for shown in [error.to_string(), format!("{error:?}"), format!("{slack:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("127.0.0.1"), "{shown}");
    }
    assert!(matches!(error, SlackError::Exhausted { attempts: 3, .. }));
}
