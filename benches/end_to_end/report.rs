//! Where what was measured is told: a table on standard output and in target/bench, charts beside it or where the
//! documents want them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::Context;
use super::faults::{failover, replay};
use super::figures::{Figures, Row};
use super::steady::{limit, lone, mixed, reads, writers};
use super::{chart, cpu, goals};

/// Bars of one unit in one section.
const BARS: [(&str, &str, &str, &str); 9] = [
    ("reads-cpu", "Processor time of the proxy for a read of a stub", reads::STUB, "CPU µs"),
    ("reads-p50", "Reads of a stub, p50 on one connection", reads::STUB, "p50 µs"),
    ("reads-chroma", "Reads of Chroma, 32 connections", reads::CHROMA, "requests/s"),
    ("lone-write", "One client, p50", lone::SECTION, "p50 ms"),
    ("writers", "Many writers, durable on both nodes", writers::SECTION, "records/s"),
    ("limit", "Two bare servers, both written by one client", limit::SECTION, "records/s"),
    ("mixed", "32 clients, 90 % reads and 10 % writes", mixed::SECTION, "requests/s"),
    ("replay", "A node comes back", replay::SECTION, "records/s"),
    ("failover", "Longest time without a success", failover::SECTION, "longest gap ms"),
];

/// Of a machine that does nothing else.
const CALM: f64 = 0.05;

pub(crate) fn tell(context: &Context, busy: Option<f64>, took: Duration) {
    let folder = folder();
    let charts = context.options.out.clone().unwrap_or_else(|| folder.clone());
    for place in [&folder, &charts] {
        fs::create_dir_all(place).unwrap_or_else(|reason| panic!("{}: {reason}", place.display()));
    }
    let text = head(context, busy, took)
        + &goals::markdown(&context.figures, context.options.scale)
        + &context.figures.markdown();
    let table = folder.join(if context.options.scale { "scale.md" } else { "results.md" });
    let written = draw(&context.figures, &charts);
    fs::write(&table, &text).unwrap_or_else(|reason| panic!("{}: {reason}", table.display()));
    println!("{text}");
    eprintln!("the table: {}; {written} charts: {}", table.display(), charts.display());
}

/// In cargo's folder, where it may be thrown away.
fn folder() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch).join("bench")
}

fn head(context: &Context, busy: Option<f64>, took: Duration) -> String {
    let options = &context.options;
    let (minutes, arguments) =
        (took.as_secs() / 60, std::env::args().skip(1).filter(|word| word != "--bench"));
    let command: Vec<String> =
        ["cargo bench --bench end_to_end --".to_owned()].into_iter().chain(arguments).collect();
    let (command, machine) = (command.join(" "), cpu::describe());
    let (rounds, seconds) = (options.rounds, options.seconds);
    let mut text = format!(
        "`{command}`: rounds: {rounds}, {seconds} s for each measurement, {minutes} minutes in all; medians, and the \
         range over the rounds.\nMachine: {machine}.\n"
    );
    if let Some(busy) = busy.filter(|busy| *busy > CALM) {
        let percent = busy * 100.0;
        text += &format!(
            "**The machine was busy with other things ({percent:.0} % of its processors before the run): compare \
             nothing but sides of one row, and not closely.**\n"
        );
    }
    if options.quick {
        text += "**A quick run: it shows that everything works; its figures say little.**\n";
    }
    text + "\n"
}

fn draw(figures: &Figures, folder: &Path) -> usize {
    let mut drawn = Vec::new();
    for (file, title, section, unit) in BARS {
        let ours = |row: &&Row| row.section == section && row.unit == unit;
        let rows: Vec<&Row> = figures.rows.iter().filter(ours).collect();
        if !rows.is_empty() {
            drawn.push((file, chart::bars(title, &rows)));
        }
    }
    drawn.extend(figures.curves.iter().map(|curves| (curves.file, chart::lines(curves))));
    for (file, svg) in &drawn {
        let path = folder.join(format!("{file}.svg"));
        fs::write(&path, svg).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
    }
    drawn.len()
}
