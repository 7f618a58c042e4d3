//! What of the cluster, seen by somebody outside of it, is news to a person? A balancer that is gone; and, only
//! while no balancer answers that could tell it, nodes and PostgreSQL that are gone, too. It asks nobody.

use serde::Serialize;

use super::kind::{Kind, Words};
use super::node::sentence;
use super::words::listed;
use super::{Alert, Severity};

/// One look at one part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It answered.
    Answers,
    /// It did not, for this reason.
    Fails(String),
    /// It was found to be gone by somebody who has looked often enough.
    Gone(String),
}

/// A part of the cluster, since it was looked at first.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    pub name: String,
    pub answers: bool,
    pub since_ms: u64,
    /// Looks in a row without an answer.
    pub failures: u32,
    pub reason: Option<String>,
    #[serde(skip)]
    kind: Kind,
    /// That it is gone was told.
    #[serde(skip)]
    told: bool,
}

/// What is known of all parts.
#[derive(Clone, Debug)]
pub struct Outside {
    threshold: u32,
    /// Balancers first, as they are looked at.
    parts: Vec<Part>,
}

impl Outside {
    /// So many failed looks in a row are enough.
    pub fn new(threshold: u32) -> Outside {
        Outside { threshold: threshold.max(1), parts: Vec::new() }
    }

    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter()
    }

    /// Takes one round of looks in: of balancers, nodes and PostgreSQL, by kind of the alert and name.
    pub fn look(&mut self, round: Vec<(Kind, String, Sight)>, now_ms: u64) -> Vec<Alert> {
        for (kind, name, sight) in round {
            let known = self.parts.iter().position(|part| part.kind == kind && part.name == name);
            let at = known.unwrap_or_else(|| {
                self.parts.push(Part::new(kind, name, now_ms));
                self.parts.len() - 1
            });
            self.parts[at].see(sight, self.threshold, now_ms);
        }
        let all = self.parts.clone();
        let watched = all.iter().any(|part| part.kind == Kind::BalancerGone && part.answers);
        self.parts.iter_mut().filter_map(|part| part.news(&all, watched, now_ms)).collect()
    }
}

impl Part {
    fn new(kind: Kind, name: String, now_ms: u64) -> Part {
        Part { name, answers: true, since_ms: now_ms, failures: 0, reason: None, kind, told: false }
    }

    fn see(&mut self, sight: Sight, threshold: u32, now_ms: u64) {
        let more = self.failures.saturating_add(1);
        let (failures, reason) = match sight {
            Sight::Answers => (0, None),
            Sight::Fails(reason) => (more, Some(reason)),
            Sight::Gone(reason) => (more.max(threshold), Some(reason)),
        };
        if (self.failures == 0) != (failures == 0) {
            self.since_ms = now_ms;
        }
        self.failures = failures;
        self.answers = failures < threshold;
        self.reason = reason;
    }

    /// `watched`: a balancer answers, and tells of nodes and PostgreSQL itself.
    fn news(&mut self, all: &[Part], watched: bool, now_ms: u64) -> Option<Alert> {
        let ours = self.kind == Kind::BalancerGone || !watched;
        match (self.told, self.answers) {
            (false, false) if ours => {
                self.told = true;
                Some(self.gone(all))
            }
            (true, true) => {
                self.told = false;
                Some(self.back(now_ms))
            }
            (true, false) if !ours => {
                self.told = false;
                Some(self.handed_back(now_ms))
            }
            _ => None,
        }
    }

    fn of(&self) -> &str {
        if self.kind == Kind::Postgres { "" } else { &self.name }
    }

    fn fault(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no answer");
        match (self.kind, self.failures) {
            // Who looked at it says how often.
            (Kind::NodeDown, _) | (_, 0 | 1) => sentence(reason),
            (_, count) => format!("{count} looks in a row failed, the last: {reason}."),
        }
    }

    fn gone(&self, all: &[Part]) -> Alert {
        let (severity, words) = match self.kind {
            Kind::BalancerGone => self.balancer_gone(all),
            Kind::Postgres => (
                Severity::Critical,
                Words::new(
                    "PostgreSQL is away, seen from outside",
                    self.fault(),
                    "No balancer answers either. Without PostgreSQL none can take writes.",
                    "Look at PostgreSQL, then start the balancer.",
                ),
            ),
            _ => (
                Severity::Warning,
                Words::new(
                    format!("{} is down, seen from outside", self.name),
                    self.fault(),
                    "No balancer answers either, so nothing is served.",
                    "Restart that Chroma server, and start the balancer.",
                ),
            ),
        };
        self.kind.opened(self.of(), severity, self.since_ms, words)
    }

    fn balancer_gone(&self, all: &[Part]) -> (Severity, Words) {
        let others = all.iter().filter(|p| p.kind == Kind::BalancerGone && p.name != self.name && p.answers);
        let others: Vec<&str> = others.map(|part| part.name.as_str()).collect();
        let (severity, title, effect) = if others.is_empty() {
            let effect = "Clients get no answer, neither to reads nor to writes.".to_owned();
            (Severity::Critical, "The balancer is gone", effect)
        } else {
            let effect = format!("None where clients are sent to {} instead.", listed(&others));
            (Severity::Warning, "One balancer is gone", effect)
        };
        let what = format!("{}: {}{}", self.name, self.fault(), rest(all));
        let action =
            "Start it again. Nothing acknowledged is lost; writes without an answer may be sent again.";
        (severity, Words::new(title, what, effect, action))
    }

    fn back(&self, now_ms: u64) -> Alert {
        let (title, what) = match self.kind {
            Kind::BalancerGone => {
                ("The balancer answers again".to_owned(), format!("{} answers.", self.name))
            }
            Kind::Postgres => (
                "PostgreSQL answers again".to_owned(),
                "Whether it is served depends on the balancer.".to_owned(),
            ),
            _ => {
                let what = "It will catch up once a balancer is back.".to_owned();
                (format!("{} answers again", self.name), what)
            }
        };
        self.kind.resolved(self.of(), now_ms, Words::over(title, what))
    }

    fn handed_back(&self, now_ms: u64) -> Alert {
        let words = Words::new(
            format!("A balancer watches {} again", self.name),
            "It still does not answer; from now on the balancer tells of it.",
            "The balancer's own message says.",
            "Follow the balancer's own message.",
        );
        self.kind.resolved(self.of(), now_ms, words)
    }
}

/// How the other parts are, for who reads that the balancer is gone.
fn rest(all: &[Part]) -> String {
    let others = || all.iter().filter(|part| part.kind != Kind::BalancerGone);
    let silent: Vec<&str> = others().filter(|part| !part.answers).map(|part| part.name.as_str()).collect();
    let answer: Vec<&str> = others().filter(|part| part.answers).map(|part| part.name.as_str()).collect();
    let say = |names: &[&str], one: &str, many: &str| match names.len() {
        0 => String::new(),
        1 => format!(" {} {one}.", names[0]),
        _ => format!(" {} {many}.", listed(names)),
    };
    say(&answer, "answers", "answer") + &say(&silent, "does not", "do not")
}

#[cfg(test)]
mod tests;
