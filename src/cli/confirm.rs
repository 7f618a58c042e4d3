//! Does the person mean it? Asks before something that cannot be taken back, on a terminal; without one
//! `--yes` must say so. It does nothing itself.

use std::io::{self, BufRead, IsTerminal, Write};

use super::outcome::Failure;

/// `what` completes "This …".
pub(super) fn confirm(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::Usage(format!("this {what}; say --yes to mean it, nothing was done")));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "This {what}. Go on? [y/N] ");
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    if read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::Usage("nothing was done".to_owned()))
}
