//! What does the program say about itself to shells and to `man`? Completions and pages, made from the same
//! description of the command line that parses it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use super::outcome::{Outcome, unsaid};
use crate::terminal::hand_over;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// bash, elvish, fish, powershell or zsh.
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// One page for each verb into this folder, instead of the program's own page to standard output.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub(super) fn completions(mut command: Command, asked: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut command, "chroma-ha", &mut script);
    as_it_is(&script)
}

/// Tabs are part of it: what else a verb prints is freed of such characters.
fn as_it_is(text: &[u8]) -> Outcome {
    hand_over(text).map_err(|error| unsaid(&error))?;
    Ok(String::new())
}

pub(super) fn man(command: Command, asked: &Man) -> Outcome {
    let Some(folder) = &asked.to else {
        let page = page(&command).map_err(|error| format!("the page cannot be made: {error}"))?;
        return as_it_is(&page);
    };
    let refused = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(refused)?;
    let mut built = command;
    built.build();
    let count = write_all(&built, folder).map_err(refused)?;
    Ok(format!("{count} pages are in {}", folder.display()))
}

/// `chroma-ha.1`, `chroma-ha-wal.1`, `chroma-ha-wal-list.1`, …
fn write_all(command: &Command, folder: &Path) -> io::Result<usize> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    fs::write(folder.join(format!("{name}.1")), page(command)?)?;
    let mut count = 1;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        count += write_all(verb, folder)?;
    }
    Ok(count)
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}
