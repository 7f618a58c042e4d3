//! How do log lines look and where do they go? To standard output, as text or JSON, and those that are spans
//! to a collector if there is one. What is logged is decided where it happens.

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::links;
use crate::config::{Log, LogFormat};
use crate::otel::Exporter;

/// What libraries say at each start is nobody's news; a directive of the filter's own overrides this.
const LIBRARIES: &str = "actix_server=warn,refinery_core=warn";

/// As long as it lives spans are sent; what waits is sent when it goes.
pub(super) struct Logging {
    _spans: Option<Exporter>,
}

/// Sets the process-wide subscriber; a second call has no effect.
#[must_use = "spans are sent only as long as it lives"]
pub(super) fn start(log: &Log, service: &str) -> Logging {
    let exporter = log.collector.as_ref().map(|collector| Exporter::start(collector.expose(), service));
    let (spans, fault) = match exporter.transpose() {
        Ok(spans) => (spans, None),
        Err(fault) => (None, Some(fault)),
    };
    // An error means that a subscriber is set already.
    let _ = subscriber(log, spans.as_ref()).try_init();
    if let Some(fault) = fault {
        tracing::warn!(fault, "no spans are sent (see OTEL_EXPORTER_OTLP_ENDPOINT); all else goes on");
    }
    Logging { _spans: spans }
}

/// Only layers that are there: one that is `None` makes of every line that nobody wants one that somebody may
/// want, so that all its fields are worked out, with every request.
fn subscriber(log: &Log, spans: Option<&Exporter>) -> impl Subscriber + Send + Sync + use<> {
    let shown = lines(log).with_filter(filter(log).and(filter_fn(is_harmless)));
    let mut layers = vec![shown.boxed()];
    layers.extend(spans.map(|spans| spans.layer().boxed()));
    Registry::default().with(layers)
}

fn lines(log: &Log) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer();
    match log.format {
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Text => lines.with_ansi(std::io::stdout().is_terminal()).boxed(),
    }
}

fn filter(log: &Log) -> EnvFilter {
    // It was checked when the configuration was read.
    EnvFilter::try_new(format!("{LIBRARIES},{}", log.filter)).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Who tells values: the driver of PostgreSQL those of its statements, bodies and the key of the log's balancers
/// among them; the web server those of headers that it refuses.
const INDISCREET: [&str; 2] = [links::DRIVER, "actix_http"];

fn is_harmless(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || !INDISCREET.iter().any(|library| line.target().starts_with(library))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::Interest;

    use super::*;

    /// Keeps what is known of a line before anybody was asked whether he wants it.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Option<&'static Metadata<'static>>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn register_callsite(&self, line: &'static Metadata<'static>) -> Interest {
            if line.target() == "a line for a test" {
                *self.0.lock().unwrap() = Some(line);
            }
            Interest::sometimes()
        }
    }

    #[test]
    fn a_line_that_nobody_wants_costs_nothing() {
        let seen = Seen::default();
        tracing::subscriber::with_default(Registry::default().with(seen.clone()), || {
            tracing::debug!(target: "a line for a test", "told");
        });
        let line = seen.0.lock().unwrap().expect("a line");
        let log = |filter: &str| Log { filter: filter.to_owned(), format: LogFormat::Text, collector: None };
        assert!(subscriber(&log("info"), None).register_callsite(line).is_never());
        assert!(!subscriber(&log("debug"), None).register_callsite(line).is_never());
    }
}
