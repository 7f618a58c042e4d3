//! How do log lines look and where do they go? To standard output, as text or JSON. What is logged is
//! decided where it happens.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// What libraries say at each start is nobody's news; a directive of the filter's own overrides this.
const LIBRARIES: &str = "actix_server=warn,refinery_core=warn";

/// Sets the process-wide subscriber; a second call has no effect.
pub(super) fn start(log: &Log) {
    // The filter was checked when the configuration was read.
    let quiet = format!("{LIBRARIES},{}", log.filter);
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    // An error means that a subscriber is set already.
    let _ = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::stdout().is_terminal()).try_init(),
    };
}
