//! What is told of one request? One line when it has been answered, or when its client has left: writes and
//! failures for everybody, reads for whoever asks for them. No body, no query and no header but the trace.

use std::time::{Duration, Instant};

use actix_web::dev::RequestHead;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use chroma_ha_actors::trace::{self, millis};
use chroma_ha_core::access::Key;
use chroma_ha_core::route::Route;
use chroma_ha_core::trace::{Span, TRACEPARENT, TraceParent};

use super::exchange::Outgoing;
use super::intake::Unfit;
use super::write::WRITE_ID;

/// What nginx calls a request whose client did not wait for the answer.
const CLIENT_LEFT: u16 = 499;

/// What is shown of a path and of a method, in bytes.
const LONGEST_SHOWN: usize = 1_000;

/// One request that is being answered.
pub(super) struct Access<'a> {
    request: &'a RequestHead,
    pub(super) route: &'static str,
    pub(super) class: &'static str,
    pub(super) span: Span,
    begun: Instant,
    /// Under which the log has the write, if it gets there.
    write_id: Option<String>,
    answered: bool,
    /// Refused because a bound was reached: one of very many, and counted.
    shed: bool,
    /// The name of the API key that it shows.
    key: Option<String>,
}

impl<'a> Access<'a> {
    pub(super) fn begin(request: &'a RequestHead, route: &Route) -> Access<'a> {
        Access {
            request,
            route: route.label(),
            class: route.class(),
            span: trace::begin(parent(&request.headers)),
            begun: Instant::now(),
            write_id: None,
            answered: false,
            shed: false,
            key: None,
        }
    }

    pub(super) fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn is_named(&mut self, write_id: &str) {
        if self.class == "write" {
            self.write_id = Some(write_id.to_owned());
        }
    }

    pub(super) fn is_refused(&mut self, unfit: Unfit) {
        self.shed = matches!(unfit, Unfit::Shed(_));
    }

    /// Whoever has no key may ask as often as he likes: counted, too.
    pub(super) fn is_denied(&mut self) {
        self.shed = true;
    }

    pub(super) fn is_of(&mut self, key: Option<&Key>) {
        self.key = key.map(|key| key.name.clone());
    }

    pub(super) fn end(mut self, answer: &Outgoing) {
        self.answered = true;
        self.tell(answer.status, Some(answer));
    }

    fn tell(&self, status: u16, answer: Option<&Outgoing>) {
        let (request, span) = (self.request, &self.span);
        // A write that is sent again is the first one's.
        let told = answer.and_then(|answer| answer.header(WRITE_ID));
        let write_id = told.or(self.write_id.as_deref());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "access",
                    method = %beginning(request.method.as_str()),
                    path = beginning(request.uri.path()),
                    route = self.route,
                    status,
                    duration_ms = millis(self.took()),
                    write_id,
                    key = self.key.as_deref(),
                    seq = answer.and_then(|answer| answer.seq).map(|seq| seq.0),
                    request_bytes = announced(&request.headers),
                    answer_bytes = answer.and_then(Outgoing::length),
                    trace_id = %span.trace,
                    span_id = %span.id,
                    parent_id = span.parent.map(display),
                    sampled = (!span.sampled).then_some(false),
                    "request"
                )
            };
        }
        let everybody = !self.shed && is_for_everybody(self.class, status, write_id.is_some());
        if everybody { line!(info) } else { line!(debug) }
    }
}

impl Drop for Access<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.tell(CLIENT_LEFT, None);
        }
    }
}

/// A read that went well, or that the client got wrong, is one of very many.
fn is_for_everybody(class: &str, status: u16, write: bool) -> bool {
    write || matches!(class, "write" | "refused") || matches!(status, 413 | CLIENT_LEFT | 500..)
}

/// Two parents are none.
fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all(TRACEPARENT);
    let only = all.next().filter(|_| all.next().is_none())?;
    TraceParent::parse(only.to_str().ok()?)
}

/// Our own span is the parent of what comes after us. A state of no trace is nobody's, as the standard has it.
pub(super) fn is_replaced(name: &HeaderName, span: &Span) -> bool {
    name == TRACEPARENT || name == "tracestate" && span.parent.is_none()
}

/// Of what a client may make as long as it likes; the server lets through nothing but ASCII there.
fn beginning(text: &str) -> &str {
    text.get(..LONGEST_SHOWN).unwrap_or(text)
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use actix_web::test::TestRequest;
    use chroma_ha_actors::gate::Shed;
    use chroma_ha_core::route::classify;
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    /// Lines as they would be shown.
    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shown(told: impl FnOnce()) -> String {
        let kept = Shown::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt().with_max_level(LevelFilter::INFO).with_ansi(false);
        tracing::subscriber::with_default(lines.with_writer(move || writer.clone()).finish(), told);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_request_without_an_answer_is_told_too() {
        let path = "/api/v2/tenants/t/databases/d/collections";
        let request = TestRequest::post().uri(path).to_http_request();
        let lines = shown(|| {
            let mut access = Access::begin(request.head(), &classify("POST", path));
            access.is_named("a-write");
        });
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(lines.contains("status=499") && lines.contains("write_id=\"a-write\""), "{lines}");
    }

    #[test]
    fn of_a_path_without_end_only_the_beginning_is_told() {
        let path = format!("/{}", "a".repeat(40_000));
        let request = TestRequest::post().uri(&path).to_http_request();
        let lines =
            shown(|| Access::begin(request.head(), &classify("POST", &path)).end(&Outgoing::json(501, "")));
        assert!(lines.lines().count() == 1 && lines.len() < 2_000, "{}", lines.len());
    }

    #[test]
    fn of_a_flood_that_is_refused_only_the_count_is_told() {
        let path = "/api/v2/tenants/t/databases/d/collections";
        let request = TestRequest::post().uri(path).to_http_request();
        let refused = |unfit| {
            shown(|| {
                let mut access = Access::begin(request.head(), &classify("POST", path));
                access.is_refused(unfit);
                access.end(&Outgoing::json(503, "{}"));
            })
        };
        assert_eq!(refused(Unfit::Shed(Shed::OutOfMemory)), "");
        assert_eq!(refused(Unfit::Slow).lines().count(), 1);
    }

    #[test]
    fn an_answered_request_is_told_once_and_a_read_is_not() {
        let path = "/api/v2/tenants/t/databases/d/collections";
        let request = TestRequest::default().uri(path).to_http_request();
        let answered = |method, status| {
            shown(|| {
                Access::begin(request.head(), &classify(method, path)).end(&Outgoing::json(status, "{}"))
            })
        };
        assert_eq!(answered("POST", 201).lines().count(), 1);
        assert_eq!(answered("GET", 500).lines().count(), 1);
        assert_eq!(answered("GET", 200), "");
    }

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str]) -> Option<TraceParent> {
        let request = values
            .iter()
            .fold(TestRequest::get(), |request, value| request.append_header((TRACEPARENT, *value)));
        parent(request.to_http_request().headers())
    }

    #[test]
    fn one_valid_parent_counts() {
        assert_eq!(of(&[GOOD]), TraceParent::parse(GOOD));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["00-1"]), None);
        assert_eq!(of(&[GOOD, GOOD]), None, "nobody knows which");
    }

    #[test]
    fn writes_and_failures_are_for_everybody() {
        for (class, status, write) in [
            ("write", 201, true),
            ("write", 503, false),
            ("v1", 201, true),
            ("read", 500, false),
            ("read", 413, false),
            ("read", CLIENT_LEFT, false),
            ("refused", 404, false),
        ] {
            assert!(is_for_everybody(class, status, write), "{class} {status}");
        }
        for (class, status) in [("read", 200), ("read", 404), ("server", 200), ("v1", 200)] {
            assert!(!is_for_everybody(class, status, false), "{class} {status}");
        }
    }
}
