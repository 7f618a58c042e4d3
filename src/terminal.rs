//! What may a terminal be told? Text whose characters it does not obey: clients choose ids and names, and they
//! come back in what verbs print. And who may stop reading? Everybody, at any time; nothing panics for that. It
//! refuses to choose words.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// A line on standard output. Says whether it is read: who has stopped, as `head` does, has what they wanted.
pub(crate) fn say(text: impl Display) -> io::Result<bool> {
    is_read(writeln!(io::stdout().lock(), "{text}"))
}

/// As it is, with every character: for what only a program reads.
pub(crate) fn hand_over(text: &[u8]) -> io::Result<bool> {
    let mut output = io::stdout().lock();
    is_read(output.write_all(text).and_then(|()| output.flush()))
}

fn is_read(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// A line on standard error. When it cannot be written, there is nobody left to tell.
pub(crate) fn remark(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The text on one line, with what is no letter as an escape.
pub(crate) fn printed(text: &str) -> String {
    let letter = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(letter).collect()
}

/// Several lines, each of them such a text.
pub(crate) fn printed_lines(text: &str) -> String {
    text.split('\n').map(printed).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_nothing_but_letters() {
        assert_eq!(printed("a\u{1b}[2J\u{9b}1m\nbä"), "a\\u{1b}[2J\\u{9b}1m\\nbä");
        assert_eq!(printed_lines("a\u{7}\nb\r"), "a\\u{7}\nb\\r");
    }
}
