//! What would a collector of OpenTelemetry have got? A web server that takes spans by OTLP over HTTP and
//! keeps them; it can refuse them, too.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::refuser::request;

#[derive(Default)]
struct Kept {
    refuses: bool,
    refused: usize,
    spans: Vec<Taken>,
    heads: String,
}

/// A span as it came. Ids are in hexadecimal digits.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty: the trace begins there.
    pub(crate) parent: String,
    pub(crate) nanos: u64,
    attributes: Vec<KeyValue>,
}

impl Taken {
    pub(crate) fn attribute(&self, name: &str) -> String {
        text_of(&self.attributes, name)
    }
}

pub(crate) struct Collector {
    port: u16,
    kept: Arc<Mutex<Kept>>,
}

impl Collector {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&shared)));
            }
        });
        Self { port, kept }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers 503 from now on, or takes spans again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.kept.lock().expect("spans").refuses = refuses;
    }

    /// How many requests were refused.
    pub(crate) fn refused(&self) -> usize {
        self.kept.lock().expect("spans").refused
    }

    /// All spans with all that they say.
    pub(crate) fn everything(&self) -> String {
        format!("{:?}", self.kept.lock().expect("spans").spans)
    }

    pub(crate) fn of_trace(&self, trace: &str) -> Vec<Taken> {
        let kept = self.kept.lock().expect("spans");
        kept.spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// Whether this text, in small letters, was in the head of a request.
    pub(crate) fn was_told(&self, text: &str) -> bool {
        self.kept.lock().expect("spans").heads.contains(text)
    }
}

/// One export a connection.
async fn take(mut stream: TcpStream, kept: Arc<Mutex<Kept>>) -> Option<()> {
    let (head, body) = request(&mut stream).await?;
    let status = {
        let mut kept = kept.lock().expect("spans");
        kept.heads.push_str(&head.to_lowercase());
        if kept.refuses {
            kept.refused += 1;
            "503 Service Unavailable"
        } else if !head.starts_with("POST /v1/traces ") {
            "404 Not Found"
        } else {
            let export = ExportTraceServiceRequest::decode(&body[..]).expect("spans by the standard");
            kept.spans.extend(spans(export));
            "200 OK"
        }
    };
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Taken> {
    let mut found = Vec::new();
    for resource in export.resource_spans {
        let service = text_of(&resource.resource.unwrap_or_default().attributes, "service.name");
        let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        found.extend(all.map(|span| taken(span, service.clone())));
    }
    found
}

fn taken(span: Span, service: String) -> Taken {
    Taken {
        service,
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        nanos: span.end_time_unix_nano - span.start_time_unix_nano,
        attributes: span.attributes,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text_of(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()) {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        _ => String::new(),
    }
}
