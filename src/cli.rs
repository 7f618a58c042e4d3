//! What can be asked of the program, and how does it answer the shell? Parses the verbs and turns their
//! results into exit codes: 0 fine, 1 a problem was found, 64 the configuration or the command line is
//! wrong. The work behind a verb is elsewhere; `cli/links.rs` leads there.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigErrors, MonitorConfig, Warning, table};

mod alert;
mod check;
mod columns;
mod health;
mod links;
mod logging;
mod operator;
mod status;
mod verify;

/// `EX_USAGE` of sysexits.
const USAGE: u8 = 64;

/// High availability for self-hosted ChromaDB: one durable log, any number of nodes.
#[derive(Debug, Parser)]
#[command(name = "chroma-ha", version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the balancer. All settings come from the environment.
    #[command(after_help = table::help())]
    Serve,
    /// Run a whole cluster on this machine: PostgreSQL, two Chroma servers and the balancer.
    Dev(links::DevOptions),
    /// Bring the database's schema up to date, then stop. `serve` does so by itself.
    Migrate,
    /// Check the configuration, and whether the database and every node can be reached.
    Check,
    /// Show the state of a running balancer.
    Status(StatusArgs),
    /// Compare what the nodes hold and copy anew what differs. Exit code 1 if something differed.
    Verify(verify::Options),
    /// Show, retry or discard accepted writes that a node refuses.
    DeadLetters(operator::DeadLetters),
    /// Copy a collection to a node anew.
    Rebuild(operator::Rebuild),
    /// Watch balancers (BALANCER_URL) from outside and alert when they are gone. The variables are in
    /// `serve --help`.
    Monitor,
    /// Try the alerts.
    Alert(alert::Alert),
    /// Exit with 0 if the balancer on this machine is healthy, for a container's health check.
    Health(HealthArgs),
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Base URL of the balancer; by default this machine at PORT.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print the answer as it came.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct HealthArgs {
    /// Ask only whether the process lives (`/livez`), not whether it can serve (`/health`).
    #[arg(long)]
    live: bool,
}

/// Runs the program with these arguments, the first of which is its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    // The HTTP client takes the process-wide provider. An error means that one is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.verb {
        Verb::Serve => with_config(serve),
        Verb::Dev(options) => links::dev(options),
        Verb::Migrate => with_config(|config| report(links::migrate(&config))),
        Verb::Check => with_config(|config| report(on_runtime(check::run(&config)))),
        Verb::Status(args) => report(on_runtime(status::run(args.url, args.json))),
        Verb::Verify(options) => report(on_runtime(verify::run(options))),
        Verb::DeadLetters(args) => report(on_runtime(operator::dead_letters(args))),
        Verb::Rebuild(args) => report(on_runtime(operator::rebuild(args))),
        Verb::Monitor => with(MonitorConfig::from_env(environment()), monitor),
        Verb::Alert(args) => alert::run(&args),
        Verb::Health(args) => report(health::run(args.live)),
    }
}

fn serve(config: Config) -> ExitCode {
    let _logging = logging::start(&config.log, &config.listen.service_name);
    links::serve(config)
}

fn monitor(config: MonitorConfig) -> ExitCode {
    let _logging = logging::start(&config.log, &config.listen.service_name);
    links::monitor(config)
}

/// Help and version are no mistakes; the rest is.
fn explain(error: &clap::Error) -> ExitCode {
    // Nothing is left to do when the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

fn with_config(verb: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    with(Config::from_env(environment()), verb)
}

fn with<C>(read: Result<(C, Vec<Warning>), ConfigErrors>, verb: impl FnOnce(C) -> ExitCode) -> ExitCode {
    match read {
        Ok((config, warnings)) => {
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            verb(config)
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(USAGE)
        }
    }
}

/// The environment as text. What is not Unicode is no setting of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The port of the balancer on this machine, for verbs that need nothing else.
fn port() -> u16 {
    std::env::var("PORT").ok().and_then(|port| port.trim().parse().ok()).unwrap_or(8000)
}

/// What is fine goes to standard output, problems to standard error.
fn report(outcome: Result<String, String>) -> ExitCode {
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn on_runtime(verb: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(verb)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_serve_lists_every_variable() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        for variable in table::OPTIONS {
            assert!(help.contains(&format!("  {}", variable.name)), "{}", variable.name);
        }
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error() {
        let run = |words: &[&str]| format!("{:?}", run(words.iter().map(OsString::from)));
        assert_eq!(run(&["chroma-ha", "fly"]), format!("{:?}", ExitCode::from(USAGE)));
        assert_eq!(run(&["chroma-ha", "--version"]), format!("{:?}", ExitCode::SUCCESS));
    }
}
