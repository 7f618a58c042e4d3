//! What one campaign, or many, came to: a line each and a summary at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Plan;
use super::book::Hub;
use super::verdict::{Kind, Verdict, Wrong};

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) balancers: usize,
    pub(crate) ack: &'static str,
    /// By what was struck and how.
    pub(crate) faults: BTreeMap<String, usize>,
    /// By kind of request and outcome.
    pub(crate) outcomes: BTreeMap<String, usize>,
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) judged: usize,
    pub(crate) undecided: usize,
    pub(crate) convergence: Duration,
    pub(crate) exits: Vec<String>,
}

impl Report {
    pub(super) fn of(plan: &Plan, hub: &Hub, exits: &[String], took: Duration, verdict: Verdict) -> Self {
        Self {
            seed: plan.seed,
            balancers: plan.balancers,
            ack: plan.ack,
            faults: plan.kinds(),
            outcomes: hub.book().outcomes.clone(),
            wrong: verdict.wrong,
            judged: verdict.judged,
            undecided: verdict.undecided,
            convergence: took,
            exits: exits.to_vec(),
        }
    }

    pub(crate) fn is_bad(&self) -> bool {
        !self.wrong.is_empty()
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.wrong.iter().filter(|wrong| wrong.kind == kind).count()
    }

    /// What is wrong, as a failing test shows it.
    pub(crate) fn complaints(&self) -> String {
        const SHOWN: usize = 12;
        let lines = self.wrong.iter().take(SHOWN).map(|wrong| format!("  {:?}: {}", wrong.kind, wrong.what));
        format!("seed {}: {} wrong\n{}", self.seed, self.wrong.len(), lines.collect::<Vec<_>>().join("\n"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |prefix: &str| -> usize {
            self.outcomes.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
        };
        write!(
            f,
            "seed {}: {} balancers, WRITE_ACK={}, {} faults, {} writes, {} reads, {} name requests, {} objects judged ({} undecided), \
             converged in {} ms, {} wrong",
            self.seed,
            self.balancers,
            self.ack,
            self.faults.values().sum::<usize>(),
            sum("write "),
            sum("read "),
            sum("name "),
            self.judged,
            self.undecided,
            self.convergence.as_millis(),
            self.wrong.len(),
        )?;
        self.exits.iter().try_for_each(|exit| write!(f, "; {exit}"))
    }
}

/// Of many campaigns.
#[derive(Default)]
pub(crate) struct Summary {
    campaigns: usize,
    failed: Vec<u64>,
    faults: BTreeMap<String, usize>,
    outcomes: BTreeMap<String, usize>,
    wrong: BTreeMap<Kind, usize>,
    judged: usize,
    undecided: usize,
    exits: usize,
    slowest: Duration,
}

impl Summary {
    pub(crate) fn add(&mut self, report: &Report) {
        let all = |into: &mut BTreeMap<String, usize>, from: &BTreeMap<String, usize>| {
            from.iter().for_each(|(name, count)| *into.entry(name.clone()).or_default() += count);
        };
        self.campaigns += 1;
        all(&mut self.faults, &report.faults);
        all(&mut self.outcomes, &report.outcomes);
        for wrong in &report.wrong {
            *self.wrong.entry(wrong.kind).or_default() += 1;
        }
        self.failed.extend(report.is_bad().then_some(report.seed));
        self.judged += report.judged;
        self.undecided += report.undecided;
        self.exits += report.exits.len();
        self.slowest = self.slowest.max(report.convergence);
    }

    pub(crate) fn failed(&self) -> &[u64] {
        &self.failed
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "campaigns: {}", self.campaigns)?;
        writeln!(f, "faults: {}", self.faults.values().sum::<usize>())?;
        self.faults.iter().try_for_each(|(name, count)| writeln!(f, "  {name}: {count}"))?;
        writeln!(f, "requests: {}", self.outcomes.values().sum::<usize>())?;
        self.outcomes.iter().try_for_each(|(name, count)| writeln!(f, "  {name}: {count}"))?;
        writeln!(f, "objects judged: {} ({} undecided)", self.judged, self.undecided)?;
        let kinds = [
            Kind::Lost,
            Kind::Resurrected,
            Kind::Inadmissible,
            Kind::Diverged,
            Kind::StaleRead,
            Kind::NotConverged,
        ];
        for kind in kinds {
            writeln!(f, "{}: {}", kind.name(), self.wrong.get(&kind).unwrap_or(&0))?;
        }
        writeln!(f, "balancers that ended by themselves: {}", self.exits)?;
        writeln!(f, "longest convergence: {} ms", self.slowest.as_millis())?;
        write!(f, "failed seeds: {:?}", self.failed)
    }
}
