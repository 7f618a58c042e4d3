//! Plain HTTP: a request in, a status and parsed JSON out. It judges no status and tries nothing
//! twice, so that a test sees what a client sees.

use std::cell::OnceCell;
use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::Value;

/// Longer than any deadline of the balancer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of the test's own: connections live on the runtime that opened them.
pub(crate) fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _there_already = rustls::crypto::ring::default_provider().install_default();
    });
    thread_local! {
        static CLIENT: OnceCell<Client> = const { OnceCell::new() };
    }
    let build = || Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).no_proxy().build();
    CLIENT.with(|client| client.get_or_init(|| build().expect("an HTTP client")).clone())
}

/// Status and JSON; text that is no JSON comes as a string, an empty body as null. Panics when
/// there is no answer at all: the promise is that there always is one.
pub(crate) async fn request(method: Method, url: &str, body: Option<&Value>) -> (u16, Value) {
    match try_request(method.clone(), url, body).await {
        Ok(answer) => answer,
        Err(reason) => panic!("{method} {url}: no answer: {reason:?}"),
    }
}

pub(crate) async fn try_request(
    method: Method,
    url: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), reqwest::Error> {
    exchange(method, url, body).await.map(|answer| (answer.status, answer.body))
}

/// An answer with its headers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) async fn exchange(
    method: Method,
    url: &str,
    body: Option<&Value>,
) -> Result<Answer, reqwest::Error> {
    let mut request = client().request(method, url);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await?;
    let body = match serde_json::from_str(&text) {
        Ok(json) => json,
        Err(_) if text.is_empty() => Value::Null,
        Err(_) => Value::String(text),
    };
    Ok(Answer { status, headers, body })
}

pub(crate) async fn get(url: &str) -> (u16, Value) {
    request(Method::GET, url, None).await
}

pub(crate) async fn post(url: &str, body: &Value) -> (u16, Value) {
    request(Method::POST, url, Some(body)).await
}

pub(crate) async fn put(url: &str, body: &Value) -> (u16, Value) {
    request(Method::PUT, url, Some(body)).await
}

pub(crate) async fn delete(url: &str) -> (u16, Value) {
    request(Method::DELETE, url, None).await
}
