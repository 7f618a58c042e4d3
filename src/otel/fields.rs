//! Which span does one line tell of? Its ids, its duration and its outcome, read off the line's fields. It
//! sends nothing.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::field::{Field, Visit};

/// What a line says, field by field.
pub(super) struct Fields {
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
    took: Option<Duration>,
    /// Whoever began the trace does not want it recorded.
    unsampled: bool,
    status: u64,
    /// Of the request's route, or the node.
    subject: String,
    /// What became of a delivery.
    outcome: String,
    attributes: Vec<KeyValue>,
}

impl Default for Fields {
    fn default() -> Fields {
        Fields {
            trace: None,
            span: None,
            parent: None,
            took: None,
            unsampled: false,
            status: 0,
            subject: String::new(),
            outcome: String::new(),
            attributes: Vec::with_capacity(12),
        }
    }
}

/// The standard's names where it has some.
fn attribute(field: &'static str) -> String {
    match field {
        "method" => "http.request.method".to_owned(),
        "path" => "url.path".to_owned(),
        "route" => "http.route".to_owned(),
        "status" => "http.response.status_code".to_owned(),
        other => format!("chroma_ha.{other}"),
    }
}

impl Fields {
    /// `None`: the line tells of no span, or of one that is not wanted.
    pub(super) fn span(
        self,
        target: &'static str,
        scope: InstrumentationScope,
        end: SystemTime,
    ) -> Option<SpanData> {
        let (trace, span, took) = (self.trace?, self.span?, self.took?);
        if self.unsampled {
            return None;
        }
        let status = self.status(target);
        let (kind, name) = match target {
            "access" => (SpanKind::Server, self.subject),
            "apply" => (SpanKind::Client, format!("{target} {}", self.subject)),
            _ => (SpanKind::Internal, target.to_owned()),
        };
        Some(SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: self.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: target == "access" && self.parent.is_some(),
            span_kind: kind,
            name: name.into(),
            start_time: end.checked_sub(took).unwrap_or(end),
            end_time: end,
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope,
        })
    }

    /// A refusal is an answer; no answer is an error.
    fn status(&self, target: &str) -> Status {
        let judged = matches!(self.outcome.as_str(), "applied" | "rejected");
        match target {
            "access" if self.status >= 499 => Status::error(format!("status {}", self.status)),
            "apply" if !judged => Status::error(self.outcome.clone()),
            _ => Status::Unset,
        }
    }

    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(attribute(field.name()), value));
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "trace_id" => self.trace = TraceId::from_hex(&text).ok(),
            "span_id" => self.span = SpanId::from_hex(&text).ok(),
            "parent_id" => self.parent = SpanId::from_hex(&text).ok(),
            "message" => {}
            name => {
                match name {
                    "route" | "node" => self.subject.clone_from(&text),
                    "outcome" => self.outcome.clone_from(&text),
                    _ => {}
                }
                self.keep(field, text);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "duration_ms" {
            self.took = Duration::try_from_secs_f64(value / 1e3).ok();
        } else {
            self.keep(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = value;
        }
        self.keep(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "sampled" {
            self.unsampled = !value;
        } else {
            self.keep(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }
}
