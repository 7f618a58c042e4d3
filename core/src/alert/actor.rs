//! In which words is a person told that an actor fell, hangs, or that the balancer ends itself for it?

use std::time::Duration;

use super::kind::{Kind, Words};
use super::{Alert, Severity};

/// `count` falls within `window`.
pub fn fallen(actor: &str, why: &str, count: usize, window: Duration, at_ms: u64) -> Alert {
    let seconds = window.as_secs();
    let title = match count {
        0 | 1 => format!("Actor {actor} was restarted"),
        count => format!("Actor {actor} was restarted, {count} times within {seconds} s"),
    };
    let words = Words::new(
        title,
        format!("{why}. That was fall {count} within {seconds} s."),
        "Requests under way in it may have been answered 503.",
        "Nothing if it stays at one; else report the log lines around it.",
    );
    Kind::Actor.notice(actor, Severity::Warning, at_ms, words)
}

/// It is given up after `given_up`.
pub fn hangs(actor: &str, silence: Duration, given_up: Duration, at_ms: u64) -> Alert {
    let after = given_up.as_secs();
    let words = Words::new(
        format!("Actor {actor} hangs"),
        format!("It has not answered for {} s.", silence.as_secs()),
        "Its work stands still, and that of the actors on its thread.",
        format!("Nothing: after {after} s the balancer ends itself to be started again. Keep the log."),
    );
    Kind::ActorHangs.opened(actor, Severity::Critical, at_ms, words)
}

pub fn answers(actor: &str, at_ms: u64) -> Alert {
    let words = Words::new(
        format!("Actor {actor} answers again"),
        "Its work goes on.",
        "None.",
        "Report the log lines around it.",
    );
    Kind::ActorHangs.resolved(actor, at_ms, words)
}

pub fn giving_up(reason: &str, at_ms: u64) -> Alert {
    let words = Words::new(
        "The balancer ends itself",
        format!("{reason}: a restart of the whole process is what is left."),
        "Until the container has started it again, or another balancer took over, nothing is served.",
        "See that it comes back; report the log lines before.",
    );
    Kind::Escalated.notice("", Severity::Critical, at_ms, words)
}
