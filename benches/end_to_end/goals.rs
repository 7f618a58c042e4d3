//! Which goals were reached in this run, and by how much not? Each is one comparison of medians; what was not
//! measured is said to be so. Rows without a verdict stand beside the goal above them and tell why.

use super::faults::{lag, replay};
use super::figures::{Figures, Row, Side, short};
use super::scale::rows;
use super::steady::limit::{self, Pace};
use super::steady::{log, lone, writers};

/// What is wanted, what came out, and the unit of both.
struct Goal {
    what: &'static str,
    limit: Limit,
    found: Option<f64>,
    unit: &'static str,
    judged: bool,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Limit::{AtLeast, AtMost};

impl Goal {
    fn new(what: &'static str, limit: Limit, found: Option<f64>, unit: &'static str) -> Self {
        Self { what, limit, found, unit, judged: true }
    }

    /// The same figure under other circumstances.
    fn beside(self) -> Self {
        Self { judged: false, ..self }
    }

    fn verdict(&self) -> String {
        let Some(found) = self.found else { return "not measured".to_owned() };
        let (reached, apart) = match self.limit {
            AtMost(limit) => (found <= limit, found / limit),
            AtLeast(limit) => (found >= limit, limit / found),
        };
        match reached {
            _ if !self.judged => "for comparison".to_owned(),
            true => "**reached**".to_owned(),
            false if apart.is_finite() => format!("**missed** by a factor of {}", short(apart)),
            false => "**missed**".to_owned(),
        }
    }

    fn line(&self) -> String {
        let (word, limit) = match self.limit {
            AtMost(limit) => ("≤", limit),
            AtLeast(limit) => ("≥", limit),
        };
        let with_unit = |value| format!("{} {}", short(value), self.unit);
        let wanted = if self.judged { format!("{word} {}", with_unit(limit)) } else { String::new() };
        let found = self.found.map(with_unit).unwrap_or_default();
        format!("| {} | {wanted} | {found} | {} |\n", self.what, self.verdict())
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

    /// Records a second of two bare servers in such requests.
    fn of_two(&self, records: u64, pace: Pace) -> Option<f64> {
        self.direct(&limit::name(records, pace), "records/s")
    }
}

/// The scale mode has goals of its own.
pub(crate) fn markdown(figures: &Figures, scale: bool) -> String {
    let medians = Medians(figures);
    let mut text = "### Goals\n\n| what | goal | found | |\n| --- | --- | --- | --- |\n".to_owned();
    let all = if scale {
        vec![backlog(&medians)]
    } else {
        vec![reads(&medians), lone_write(&medians), crowd(&medians), logged(&medians), nodes(&medians)]
    };
    text.extend(all.iter().flatten().map(Goal::line));
    text.push('\n');
    text.extend(machine(&medians));
    text
}

fn reads(medians: &Medians<'_>) -> Vec<Goal> {
    let (one, many) = ("get, 1 connection", "get, 32 connections");
    let cpu = |measure| Some(medians.ours(measure, "CPU µs")? / medians.proxy(measure, "CPU µs")?);
    let added = || {
        let direct = medians.direct(one, "p50 µs")?;
        Some((medians.ours(one, "p50 µs")? - direct) / (medians.proxy(one, "p50 µs")? - direct))
    };
    let goal = |what, found| Goal::new(what, AtMost(1.0), found, "×");
    vec![
        goal("CPU of a read of the stub, by the lower of nginx and HAProxy; 32 connections", cpu(many)),
        goal("the same on 1 connection", cpu(one)),
        goal("added p50 of a read of the stub on 1 connection, by theirs", added()),
    ]
}

/// Judged is the write that is alone: one every 100 ms, both nodes behind the balancer. In writes one after the
/// other the replica applies the last one on the same processors, and direct Chroma has them for itself; with one
/// node nothing else runs, which is the balancer's own cost and no high availability.
fn lone_write(medians: &Medians<'_>) -> Vec<Goal> {
    let by_parts = |ours: &str, alone: &str| {
        let parts = medians.direct(alone, "p50 ms")? + medians.direct(lone::COMMIT, "p50 ms")?;
        Some(medians.ours(ours, "p50 ms")? / parts)
    };
    let goal = |what, ours, alone| Goal::new(what, AtMost(1.1), by_parts(ours, alone), "×");
    vec![
        goal("lone write (one every 100 ms), by a direct one and one commit (p50)", lone::WRITE, lone::WRITE),
        goal("one write after the other, likewise", lone::AGAIN, lone::AGAIN).beside(),
        goal("one write after the other, one node only, likewise", lone::SINGLE, lone::AGAIN).beside(),
    ]
}

fn crowd(medians: &Medians<'_>) -> Vec<Goal> {
    let direct = medians.direct(writers::THIRTY_TWO, "records/s");
    let two = |records, pace| direct.and_then(|direct| Some(medians.of_two(records, pace)? / direct));
    let goal = |what, found| Goal::new(what, AtLeast(10.0), found, "×");
    vec![
        goal("32 one-record writers, both nodes, by direct", medians.ratio(writers::THIRTY_TWO, "records/s")),
        goal("two bare servers at once, requests of 16, by the same", two(16, Pace::Both)).beside(),
        goal("two bare servers at once, requests of 32, by the same", two(32, Pace::Both)).beside(),
    ]
}

fn logged(medians: &Medians<'_>) -> Vec<Goal> {
    let (rate, slowest) = (medians.ours(log::CROWD, "writes/s"), medians.ours(log::CROWD, "p99 ms"));
    vec![
        Goal::new("acknowledged by the log, until the bound sheds", AtLeast(1_000.0), rate, "writes/s"),
        Goal::new("the same, p99", AtMost(20.0), slowest, "ms"),
    ]
}

fn nodes(medians: &Medians<'_>) -> Vec<Goal> {
    let lag = |write| Some(medians.ours(lag::LAG, "p99 ms")? / medians.direct(write, "p50 ms")?);
    let replayed = medians.ratio(replay::RATE, "records/s");
    let mut goals = vec![
        Goal::new("replay, by Chroma's own rate in requests of 100", AtLeast(0.8), replayed, "×"),
        Goal::new(
            "lag p99, by a direct write on the replica meanwhile (p50)",
            AtMost(3.0),
            lag(lag::REPLICA),
            "×",
        ),
        Goal::new("lag p99, by a direct write on a server at rest (p50)", AtMost(3.0), lag(lag::IDLE), "×")
            .beside(),
    ];
    for (measure, what, most) in [
        ("killed, writes", "primary killed: gap of writes", 250.0),
        ("killed, reads", "primary killed: gap of reads", 250.0),
        ("hung, writes", "primary hung: gap of writes", 2_000.0),
        ("hung, reads", "primary hung: gap of reads", 2_000.0),
    ] {
        goals.push(Goal::new(what, AtMost(most), medians.ours(measure, "longest gap ms"), "ms"));
    }
    let failed = ["killed, writes", "killed, reads", "hung, writes", "hung, reads"];
    let failed = failed.into_iter().map(|measure| medians.ours(measure, "failed requests")).sum();
    goals.push(Goal::new("failed requests in both", AtMost(0.0), failed, ""));
    goals
}

/// What 32 writers can reach here at all, in words.
fn machine(medians: &Medians<'_>) -> Option<String> {
    let direct = medians.direct(writers::THIRTY_TWO, "records/s")?;
    let ours = medians.ours(writers::THIRTY_TWO, "records/s")?;
    let merged = medians.ours(writers::THIRTY_TWO, writers::TOGETHER)?;
    let pace = |pace| Some([medians.of_two(16, pace)?, medians.of_two(32, pace)?].map(short).join(" and "));
    let (ten, direct, ours, merged) = (short(10.0 * direct), short(direct), short(ours), short(merged));
    let (both, each) = (pace(Pace::Both)?, pace(Pace::Each)?);
    Some(format!(
        "32 writers: 10 × direct ({direct}) is {ten} records/s. Two bare servers on these processors take {both} \
         records/s in requests of 16 and 32, written at once ({each}, each at its own pace), without any balancer; \
         chroma-ha's 32 writers reach {ours}, with {merged} writes in a request.\n\n"
    ))
}

/// Of the longest log of the scale mode.
fn backlog(medians: &Medians<'_>) -> Vec<Goal> {
    let last = |end: &str, unit: &str| {
        let ours =
            |row: &&Row| row.section == rows::SECTION && row.measure.ends_with(end) && row.unit == unit;
        medians.0.rows.iter().rev().find(ours)?.median(Side::Balancer)
    };
    let (status, memory) = (last(": /status", "p50 ms"), last(": resident memory", "MiB"));
    vec![
        Goal::new("a long log: `/status`, p50", AtMost(10.0), status, "ms"),
        Goal::new("a long log: resident memory", AtMost(100.0), memory, "MiB"),
        Goal::new("a long log: start until ready", AtMost(1.0), last(rows::START, "s"), "s"),
    ]
}
