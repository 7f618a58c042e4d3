//! Which goals were reached in this run, and by how much not? Each is one comparison of medians; what was not
//! measured is said to be so.

use super::faults::{lag, replay};
use super::figures::{Figures, Row, Side, short};
use super::scale::rows;
use super::steady::{log, lone, writers};

/// What is wanted, what came out, and the unit of both.
struct Goal {
    what: &'static str,
    limit: Limit,
    found: Option<f64>,
    unit: &'static str,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn verdict(&self) -> String {
        let Some(found) = self.found else { return "not measured".to_owned() };
        let (reached, apart) = match self.limit {
            Limit::AtMost(limit) => (found <= limit, found / limit),
            Limit::AtLeast(limit) => (found >= limit, limit / found),
        };
        match reached {
            true => "reached".to_owned(),
            false if apart.is_finite() => format!("missed by a factor of {}", short(apart)),
            false => "missed".to_owned(),
        }
    }

    fn line(&self) -> String {
        let (word, limit) = match self.limit {
            Limit::AtMost(limit) => ("≤", limit),
            Limit::AtLeast(limit) => ("≥", limit),
        };
        let (found, unit) = (self.found.map_or_else(String::new, short), self.unit);
        format!("| {} | {word} {} {unit} | {found} | {} |\n", self.what, short(limit), self.verdict())
    }
}

/// Medians of one run.
struct Medians<'a>(&'a Figures);

impl Medians<'_> {
    fn of(&self, measure: &str, unit: &str, side: Side) -> Option<f64> {
        self.0.median(measure, unit, side)
    }

    fn ours(&self, measure: &str, unit: &str) -> Option<f64> {
        self.of(measure, unit, Side::Balancer)
    }

    fn direct(&self, measure: &str, unit: &str) -> Option<f64> {
        self.of(measure, unit, Side::Direct)
    }

    /// The balancer by bare Chroma.
    fn ratio(&self, measure: &str, unit: &str) -> Option<f64> {
        Some(self.ours(measure, unit)? / self.direct(measure, unit)?)
    }

    /// The lower one of nginx and HAProxy.
    fn proxy(&self, measure: &str, unit: &str) -> Option<f64> {
        [Side::Nginx, Side::Haproxy]
            .into_iter()
            .filter_map(|side| self.of(measure, unit, side))
            .reduce(f64::min)
    }
}

/// The scale mode has goals of its own.
pub(crate) fn markdown(figures: &Figures, scale: bool) -> String {
    let medians = Medians(figures);
    let mut text = "### Goals\n\n| what | goal | found | |\n| --- | --- | --- | --- |\n".to_owned();
    let all = if scale {
        vec![backlog(&medians)]
    } else {
        vec![reads(&medians), writes(&medians), nodes(&medians)]
    };
    text.extend(all.iter().flatten().map(Goal::line));
    text.push('\n');
    text
}

fn reads(medians: &Medians<'_>) -> Vec<Goal> {
    let (one, many) = ("get, 1 connection", "get, 32 connections");
    let cpu = |measure| Some(medians.ours(measure, "CPU µs")? / medians.proxy(measure, "CPU µs")?);
    let added = || {
        let direct = medians.direct(one, "p50 µs")?;
        Some((medians.ours(one, "p50 µs")? - direct) / (medians.proxy(one, "p50 µs")? - direct))
    };
    let goal = |what, found| Goal { what, limit: Limit::AtMost(1.0), found, unit: "×" };
    vec![
        goal("CPU of a read of the stub, by the lower of nginx and HAProxy; 32 connections", cpu(many)),
        goal("the same on 1 connection", cpu(one)),
        goal("added p50 of a read of the stub on 1 connection, by theirs", added()),
    ]
}

fn writes(medians: &Medians<'_>) -> Vec<Goal> {
    let allowed =
        || Some(1.1 * (medians.direct(lone::WRITE, "p50 ms")? + medians.direct(lone::COMMIT, "p50 ms")?));
    vec![
        Goal {
            what: "lone write, by a direct one and one commit (p50)",
            limit: Limit::AtMost(1.1),
            found: allowed().and_then(|allowed| Some(1.1 * medians.ours(lone::WRITE, "p50 ms")? / allowed)),
            unit: "×",
        },
        Goal {
            what: "32 one-record writers, both nodes, by direct",
            limit: Limit::AtLeast(10.0),
            found: medians.ratio(writers::THIRTY_TWO, "records/s"),
            unit: "×",
        },
        Goal {
            what: "acknowledged by the log",
            limit: Limit::AtLeast(1_000.0),
            found: medians.ours(log::CROWD, "writes/s"),
            unit: "writes/s",
        },
        Goal {
            what: "acknowledged by the log, p99",
            limit: Limit::AtMost(20.0),
            found: medians.ours(log::CROWD, "p99 ms"),
            unit: "ms",
        },
    ]
}

fn nodes(medians: &Medians<'_>) -> Vec<Goal> {
    let lagging = || Some(medians.ours(lag::LAG, "p99 ms")? / medians.direct(lag::LAG, "p50 ms")?);
    let mut goals = vec![
        Goal {
            what: "replay, by Chroma's own rate in requests of 100",
            limit: Limit::AtLeast(0.8),
            found: medians.ratio(replay::RATE, "records/s"),
            unit: "×",
        },
        Goal {
            what: "lag p99, by the p50 of a direct write",
            limit: Limit::AtMost(3.0),
            found: lagging(),
            unit: "×",
        },
    ];
    for (measure, what, most) in [
        ("killed, writes", "primary killed: gap of writes", 250.0),
        ("killed, reads", "primary killed: gap of reads", 250.0),
        ("hung, writes", "primary hung: gap of writes", 2_000.0),
        ("hung, reads", "primary hung: gap of reads", 2_000.0),
    ] {
        let found = medians.ours(measure, "longest gap ms");
        goals.push(Goal { what, limit: Limit::AtMost(most), found, unit: "ms" });
    }
    let failed = ["killed, writes", "killed, reads", "hung, writes", "hung, reads"];
    let failed: Option<f64> =
        failed.into_iter().map(|measure| medians.ours(measure, "failed requests")).sum();
    goals.push(Goal { what: "failed requests in both", limit: Limit::AtMost(0.0), found: failed, unit: "" });
    goals
}

/// Of the longest log of the scale mode.
fn backlog(medians: &Medians<'_>) -> Vec<Goal> {
    let last = |end: &str, unit: &str| {
        let ours =
            |row: &&Row| row.section == rows::SECTION && row.measure.ends_with(end) && row.unit == unit;
        medians.0.rows.iter().rev().find(ours)?.median(Side::Balancer)
    };
    let goal = |what, most, end, unit, shown| Goal {
        what,
        limit: Limit::AtMost(most),
        found: last(end, unit),
        unit: shown,
    };
    vec![
        goal("a long log: `/status`", 10.0, ": /status", "p50 ms", "ms"),
        goal("a long log: resident memory", 100.0, ": resident memory", "MiB", "MiB"),
        goal("a long log: start until it serves", 1.0, rows::START, "s", "s"),
    ]
}
