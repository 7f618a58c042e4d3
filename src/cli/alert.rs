//! Do alerts arrive? Sends one test message to the configured webhook, past every limit, and prints what Slack
//! answered. Exit code 0: it was taken; 1: it was not, or nobody answered; 64: there is no webhook to try.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{USAGE, environment, links, on_runtime, report};
use crate::config::Alerts;
use crate::terminal::remark;

#[derive(Debug, Args)]
pub(super) struct Alert {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send a test message to SLACK_WEBHOOK_URL and print what Slack answers. Exit code 1 if it was not taken.
    Test,
}

pub(super) fn run(asked: &Alert) -> ExitCode {
    let Verb::Test = asked.verb;
    let (alerts, service) = match Alerts::from_env(environment()) {
        Ok(read) => read,
        Err(errors) => {
            remark(errors);
            return ExitCode::from(USAGE);
        }
    };
    let Some(webhook) = alerts.webhook else {
        remark("no alert is sent: set SLACK_WEBHOOK_URL, and SLACK_ALERTS_ENABLED to true or not at all");
        return ExitCode::from(USAGE);
    };
    let sent = on_runtime(async move { links::alert_test(webhook, &service).await });
    report(match sent {
        Ok(said) => Ok(format!("Slack took the test message: {said}")),
        Err(said) => Err(format!("the test message was not taken: {said}; check SLACK_WEBHOOK_URL")),
    })
}
