//! Where do the verbs lead? The one file through which the command line reaches `boot`, `dev` and
//! `postgres`. It holds no work of its own.

use std::process::ExitCode;

use crate::config::Config;

/// What `dev` can be told. To become `crate::dev::Options`.
#[derive(Debug, clap::Args)]
pub(super) struct DevOptions {}

/// To become `crate::boot::serve(config)`.
pub(super) fn serve(config: Config) -> ExitCode {
    missing(&format!("serve on port {}", config.listen.port))
}

/// To become `crate::dev::run(options, …)` with `crate::boot::serve`.
pub(super) fn dev(_options: DevOptions) -> ExitCode {
    missing("dev")
}

/// To become `crate::postgres::migrate(…)` on a runtime: the text says what ran.
pub(super) fn migrate(config: &Config) -> Result<String, String> {
    Err(format!("migrate is not part of this build ({})", config.database.url))
}

/// To become `crate::postgres::check(…)`: version and schema, or why it cannot be used.
pub(super) async fn check_database(config: &Config) -> Result<String, String> {
    Err(format!("the check of {} is not part of this build", config.database.url))
}

fn missing(verb: &str) -> ExitCode {
    eprintln!("{verb} is not part of this build");
    ExitCode::FAILURE
}
