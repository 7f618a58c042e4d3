//! How does a verb end? What is fine goes to standard output, everything else to standard error, and each
//! kind of end has an exit code of its own, so that a script need not read the text.

use std::io;
use std::process::ExitCode;

use super::USAGE;
pub(super) use crate::failure::Failure;
use crate::terminal::{printed_lines, remark, say};

/// What every verb but `serve` ends with.
pub(super) type Outcome = Result<String, Failure>;

/// Every exit code, for the help, the manual and the documents.
pub(super) const CODES: [(u8, &str); 6] = [
    (0, "fine"),
    (1, "a problem was found, or the balancer refused: the line says which"),
    (2, "not reachable: neither the balancer nor the database answered"),
    (64, "usage: the command line or the configuration is wrong, or a destructive verb was not confirmed"),
    (70, "serve and monitor only: an actor fell more than 10 times within 60 s, or did not answer for 30 s"),
    (
        75,
        "not now: the balancer does not hold the log, nobody can do it at this moment, or it took too long; try again",
    ),
];

fn code(failure: &Failure) -> u8 {
    match failure {
        Failure::Problem(_) => 1,
        Failure::Unreachable(_) => 2,
        Failure::Usage(_) => USAGE,
        Failure::Later(_) => 75,
    }
}

/// The table of exit codes as help shows it.
pub(super) fn help() -> String {
    let lines = CODES.iter().map(|(code, meaning)| format!("  {code:>2}  {meaning}"));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// It was done, and the answer is lost.
pub(super) fn unsaid(error: &io::Error) -> Failure {
    Failure::Problem(format!("standard output cannot be written to: {error}; make room or send it elsewhere"))
}

pub(super) fn end(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(text) if text.is_empty() => ExitCode::SUCCESS,
        Ok(text) => match say(printed_lines(&text)) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => end(Err(unsaid(&error))),
        },
        Err(failure) => {
            remark(printed_lines(failure.text()));
            ExitCode::from(code(&failure))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_code_of_the_table() {
        let text = String::new;
        let all = [
            Failure::Problem(text()),
            Failure::Unreachable(text()),
            Failure::Usage(text()),
            Failure::Later(text()),
        ];
        let codes: Vec<u8> = all.iter().map(code).collect();
        let known = CODES.map(|(code, _)| code);
        assert!(codes.iter().all(|code| known.contains(code)), "{codes:?}");
        assert_eq!(codes, [1, 2, 64, 75]);
    }

    #[test]
    fn the_documents_show_the_table() {
        let operations = include_str!("../../docs/operations.md");
        for (code, meaning) in CODES {
            let row = format!("| {code} | {meaning} |");
            assert!(operations.contains(&row), "docs/operations.md lacks: {row}");
        }
    }
}
