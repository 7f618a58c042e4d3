//! How do log lines become spans at a collector? A line that bears a span's id and a duration is one: what is
//! logged and what is traced cannot differ. Spans wait in a bounded queue and are dropped when it is full;
//! nobody who serves waits for the collector.

use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

mod collector;
mod fields;

use collector::Collector;
use fields::Fields;

/// The lines that are spans, whether they are shown or not: requests, appends and applies.
const SPANS: [&str; 3] = ["access", "append", "apply"];

/// Sends spans to one collector until it is dropped; then what waits is sent still.
pub struct Exporter {
    processor: std::sync::Arc<BatchSpanProcessor>,
}

impl Exporter {
    /// `collector` is the base URL of OTLP over HTTP. What else the standard's variables say (headers, sizes
    /// of queue and batch, attributes of the resource) holds as well.
    pub fn start(collector: &str, service: &str) -> Result<Exporter, String> {
        let (endpoint, service) = (format!("{collector}/v1/traces"), service.to_owned());
        // The client has a runtime of its own, which may not be made on another one.
        let made = std::thread::spawn(move || Exporter::make(endpoint, service)).join();
        made.unwrap_or_else(|_| Err("its HTTP client cannot be set up".to_owned()))
    }

    fn make(endpoint: String, service: String) -> Result<Exporter, String> {
        let collector = Collector::new().map_err(|error| error.to_string())?;
        let exporter = SpanExporter::builder().with_http().with_http_client(collector);
        let exporter = exporter.with_endpoint(endpoint).build().map_err(|error| error.to_string())?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder();
        let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
        let resource = if named { resource } else { resource.with_service_name(service) };
        processor.set_resource(&resource.build());
        Ok(Exporter { processor: std::sync::Arc::new(processor) })
    }

    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let scope =
            InstrumentationScope::builder("chroma-ha").with_version(env!("CARGO_PKG_VERSION")).build();
        let lines = SPANS.iter().map(|target| (*target, LevelFilter::DEBUG));
        Lines { processor: std::sync::Arc::clone(&self.processor), scope }
            .with_filter(Targets::new().with_targets(lines))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Nobody is left to be told that the last spans were not taken.
        let _ = self.processor.shutdown();
    }
}

struct Lines {
    processor: std::sync::Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let target = event.metadata().target();
        if let Some(span) = fields.span(target, self.scope.clone(), SystemTime::now()) {
            self.processor.on_end(span);
        }
    }
}
