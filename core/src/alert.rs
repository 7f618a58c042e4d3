//! Which facts deserve a person, in which words, and which message repeats another? What a message is;
//! `desk` holds repeats back, `outbox` keeps their order on the way out, the others know what is news about
//! one thing each. It sends nothing and reads no clock.

use serde::Serialize;

pub mod acting;
pub mod actor;
pub mod backlog;
mod desk;
pub mod file;
pub mod fold;
pub mod kind;
pub mod log;
pub mod lookout;
pub mod matter;
pub mod node;
pub mod outbox;
pub mod outside;
pub mod strain;
pub mod words;

pub use desk::{Desk, DeskLimits};

/// How soon a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Nothing fails yet, but less is left than should be.
    Warning,
    /// Clients are affected, or data needs a decision.
    Critical,
}

/// What a message does to its matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It begins; repeats of an open matter are not sent.
    Opened,
    /// It is over; not sent for a matter nobody heard of.
    Resolved,
    /// Said once, nothing stays open: a summary of many.
    Notice,
}

/// One message for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Names the matter: `node-down:replica-1`. Opened and resolved carry the same key.
    pub key: String,
    pub severity: Severity,
    pub phase: Phase,
    pub title: String,
    /// What happened.
    pub what: String,
    /// What it means for users.
    pub effect: String,
    /// What to do.
    pub action: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What somebody gets who tries whether alerts arrive.
pub fn test(service: &str, at_ms: u64) -> Alert {
    let words = kind::Words::new(
        "This is a test",
        format!("Somebody ran `chroma-ha alert test` for {service}."),
        "None.",
        "Nothing: alerts of this balancer arrive here.",
    );
    kind::Kind::Test.notice("", Severity::Info, at_ms, words)
}

#[cfg(test)]
mod messages;
