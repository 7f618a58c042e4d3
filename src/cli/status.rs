//! How is the cluster? Asks a running balancer for `/status` and lays it out for a person, once or again and
//! again. It judges nothing: what is wrong, the balancer says.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use reqwest::Method;

use super::balancer::{Balancer, Target, parsed};
use super::outcome::{Outcome, unsaid};
use crate::terminal::{printed_lines, say};

mod page;

/// Between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(2);

const CLEARED: &str = "\u{1b}[2J";
/// Cursor to the top, and nothing below it.
const REDRAWN: &str = "\u{1b}[H\u{1b}[J";

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Again every 2 s until it is interrupted: in place on a terminal, one below the other elsewhere.
    #[arg(long)]
    watch: bool,
    /// Print the answer as it came.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let balancer = Balancer::at(&options.target)?;
    if options.watch {
        return watch(&balancer, options.json).await;
    }
    look(&balancer, options.json).await
}

async fn look(balancer: &Balancer, json: bool) -> Outcome {
    let text = balancer.text(Method::GET, "/status", None).await?;
    if json {
        return Ok(text);
    }
    Ok(page::told(&parsed(&text)?, chroma_ha_actors::wal::now_unix_ms()))
}

/// Who is away for a moment is looked at again, too.
async fn watch(balancer: &Balancer, json: bool) -> Outcome {
    let in_place = io::stdout().is_terminal() && !json;
    if in_place {
        say(CLEARED).map_err(|error| unsaid(&error))?;
    }
    loop {
        let text = match look(balancer, json).await {
            Ok(text) => printed_lines(&text),
            Err(failure) => printed_lines(failure.text()),
        };
        let (before, after) = if in_place { (REDRAWN, "") } else { ("", if json { "" } else { "\n" }) };
        if !say(format_args!("{before}{text}{after}")).map_err(|error| unsaid(&error))? {
            return Ok(String::new());
        }
        tokio::time::sleep(WATCH).await;
    }
}
