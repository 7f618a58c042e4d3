//! What can be asked of the program? Parses the verbs and leads to what does them; how an end becomes an
//! exit code is `cli/outcome.rs`'s to say, and `cli/links.rs` leads out of this room.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Config, ConfigErrors, MonitorConfig, Warning, table};
use crate::terminal::remark;

mod alert;
mod backup;
mod balancer;
mod check;
mod columns;
mod confirm;
mod health;
mod key;
mod links;
mod logging;
mod manual;
mod nodes;
mod outcome;
mod rebuild;
mod status;
mod verify;
mod wal;
mod wire;

use outcome::Failure;

/// `EX_USAGE` of sysexits.
const USAGE: u8 = 64;

/// High availability for self-hosted ChromaDB: one durable log, any number of nodes.
#[derive(Debug, Parser)]
#[command(name = "chroma-ha", version, about, after_help = outcome::help())]
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
    Status(status::Options),
    /// Compare what the nodes hold and copy anew what differs. Exit code 1 if something differed.
    Verify(verify::Options),
    /// List and show writes of the log; retry or discard those that a node refuses.
    Wal(wal::Wal),
    /// Copy a collection to a node anew.
    Rebuild(rebuild::Rebuild),
    /// Take a node out, to stop or upgrade its server: nothing is sent to it, and the log keeps what it misses.
    Drain(nodes::Drain),
    /// Put a node back: it settles, catches up, and is used again.
    Undrain(nodes::Undrain),
    /// Let another node act: its answer is the verdict on every write, whenever it is up to date.
    Switch(nodes::Switch),
    /// Save all collections at one position of the log, while writes go on, to a new folder.
    Backup(backup::Save),
    /// Add to a backup what was logged since.
    BackupLog(backup::Save),
    /// Check that a backup is as it was written. Asks no server.
    BackupVerify(backup::Verify),
    /// Restore a backup into an empty cluster, or one collection of it into any.
    Restore(backup::Restore),
    /// Watch balancers (BALANCER_URL) from outside and alert when they are gone. The variables are in
    /// `serve --help`.
    Monitor,
    /// Try the alerts.
    Alert(alert::Alert),
    /// Make an API key and its line for API_KEYS.
    Key(key::Options),
    /// Exit with 0 if the balancer on this machine is healthy, for a container's health check.
    Health(HealthArgs),
    /// Print what completes this program's words in a shell.
    Completions(manual::Completions),
    /// Print the manual's page, or write one page for each verb.
    Man(manual::Man),
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
        Verb::Serve => with(Config::from_env(environment()), serve),
        Verb::Dev(options) => links::dev(options),
        Verb::Migrate => with_config(|config| report(links::migrate(&config))),
        Verb::Check => with_config(|config| report(on_runtime(check::run(&config)))),
        Verb::Status(options) => outcome::end(on_runtime(status::run(options))),
        Verb::Verify(options) => outcome::end(on_runtime(verify::run(options))),
        Verb::Wal(asked) => outcome::end(on_runtime(wal::run(asked))),
        Verb::Rebuild(asked) => outcome::end(on_runtime(rebuild::run(asked))),
        Verb::Drain(asked) => outcome::end(on_runtime(nodes::drain(asked))),
        Verb::Undrain(asked) => outcome::end(on_runtime(nodes::undrain(asked))),
        Verb::Switch(asked) => outcome::end(on_runtime(nodes::switch(asked))),
        Verb::Completions(asked) => outcome::end(manual::completions(Cli::command(), &asked)),
        Verb::Man(asked) => outcome::end(manual::man(Cli::command(), &asked)),
        Verb::Backup(options) => outcome::end(on_runtime(backup::save(options))),
        Verb::BackupLog(options) => outcome::end(on_runtime(backup::save_log(options))),
        Verb::BackupVerify(options) => report(backup::verify(&options)),
        Verb::Restore(options) => outcome::end(on_runtime(backup::restore(options))),
        Verb::Monitor => with(MonitorConfig::from_env(environment()), monitor),
        Verb::Alert(args) => alert::run(&args),
        Verb::Key(options) => report(key::run(options)),
        Verb::Health(args) => report(health::run(args.live)),
    }
}

fn serve(config: Config, warnings: &[Warning]) -> ExitCode {
    let _logging = logging::start(&config.log, &config.listen.service_name);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    links::serve(config)
}

fn monitor(config: MonitorConfig, warnings: &[Warning]) -> ExitCode {
    let _logging = logging::start(&config.log, &config.listen.service_name);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    links::monitor(config)
}

/// Help and version are no mistakes; the rest is.
fn explain(error: &clap::Error) -> ExitCode {
    // Nothing is left to do when the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

fn with_config(verb: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    with(Config::from_env(environment()), |config, warnings| {
        warnings.iter().for_each(|warning| remark(format_args!("warning: {warning}")));
        verb(config)
    })
}

/// What warns of the configuration goes where the verb's other lines go.
fn with<C>(
    read: Result<(C, Vec<Warning>), ConfigErrors>,
    verb: impl FnOnce(C, &[Warning]) -> ExitCode,
) -> ExitCode {
    match read {
        Ok((config, warnings)) => verb(config, &warnings),
        Err(errors) => {
            remark(errors);
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

/// Of verbs whose every bad end is a problem.
fn report(outcome: Result<String, String>) -> ExitCode {
    outcome::end(outcome.map_err(Failure::Problem))
}

fn on_runtime<E: From<String>>(verb: impl Future<Output = Result<String, E>>) -> Result<String, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(verb)
}

#[cfg(test)]
mod tests {
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
