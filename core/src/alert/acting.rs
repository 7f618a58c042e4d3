//! Which node judges writes, and when is that worth a word? A replica that does so for some seconds opens
//! the matter, the primary that does again resolves it. It chooses nobody.

use super::kind::{Kind, Words};
use super::lookout::NodeFacts;
use super::node::sentence;
use super::{Alert, Severity};

/// A change that does not last so long is none.
const LASTS_MS: u64 = 3_000;

/// Who was seen to act.
#[derive(Clone, Debug, Default)]
pub struct ActingWatch {
    /// Another one than what was told, and since when.
    pending: Option<(String, u64)>,
    /// The replica that is told to act.
    told: Option<String>,
}

impl ActingWatch {
    /// `first`: the node that judges whenever it can.
    pub fn look(&mut self, acting: Option<&str>, first: Option<&NodeFacts>, now_ms: u64) -> Option<Alert> {
        let (primary, acting) = (first?, acting?);
        let replaced = acting != primary.name;
        if replaced == self.told.is_some() {
            self.pending = None;
            return None;
        }
        let since_ms = match &self.pending {
            Some((name, since_ms)) if name == acting => *since_ms,
            _ => now_ms,
        };
        self.pending = Some((acting.to_owned(), since_ms));
        if now_ms.saturating_sub(since_ms) < LASTS_MS {
            return None;
        }
        self.pending = None;
        if replaced {
            self.told = Some(acting.to_owned());
            return Some(took_over(acting, primary, since_ms));
        }
        let replica = self.told.take().unwrap_or_default();
        Some(gave_back(&primary.name, &replica, since_ms))
    }
}

fn took_over(acting: &str, primary: &NodeFacts, since_ms: u64) -> Alert {
    let name = &primary.name;
    let words = Words::new(
        format!("{acting} acts in place of {name}"),
        format!("{name} is {}. {}", primary.state, sentence(&primary.reason)),
        format!("None: writes are judged by {acting}, reads go on."),
        format!("Bring {name} back. It acts again by itself once it has caught up."),
    );
    Kind::Failover.opened("", Severity::Info, since_ms, words)
}

fn gave_back(primary: &str, replica: &str, since_ms: u64) -> Alert {
    let what = format!("It has caught up and judges writes again; {replica} did in its place.");
    Kind::Failover.resolved("", since_ms, Words::over(format!("{primary} acts again"), what))
}
