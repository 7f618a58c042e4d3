//! Does what a document shows happen when its commands are typed? Reads the blocks of a document, types their
//! commands into one shell, and holds what is printed against what is shown. It knows no command.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The slowest command starts a server, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ends what one command prints; its exit status follows.
const MARK: &str = "end-of-a-command";

/// A command and what a document shows that it prints.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) shown: Vec<String>,
}

/// The text of the blocks that are marked with this word.
pub(crate) fn blocks(document: &str, word: &str) -> Vec<String> {
    let fence = format!("```{word}\n");
    let texts = document.split(&fence).skip(1);
    texts.map(|text| text.split("```").next().expect("a text").to_owned()).collect()
}

/// From a heading to the next of its rank.
pub(crate) fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let text = document.split_once(&format!("\n## {heading}\n")).expect("the heading").1;
    text.split("\n## ").next().expect("a text")
}

/// In a block `console`: `$ ` begins a command, `> ` continues it, everything else is printed.
pub(crate) fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(document, "console").iter().flat_map(|block| block.lines()) {
        match (line.strip_prefix("$ "), line.strip_prefix("> ").or(line.strip_prefix(">")), steps.last_mut())
        {
            (Some(command), _, _) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
            (None, Some(more), Some(step)) if step.shown.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            (None, _, Some(step)) => step.shown.push(line.to_owned()),
            (None, _, None) => panic!("a block begins without a command: {line}"),
        }
    }
    steps
}

/// `[..]` stands for anything in a line, `...` alone in a line for any lines.
pub(crate) fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        ([], []) => true,
        (["...", rest @ ..], _) => (0..=printed.len()).any(|from| fits(rest, &printed[from..])),
        ([line, rest @ ..], [said, more @ ..]) => line_fits(line, said) && fits(rest, more),
        _ => false,
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let Some((first, rest)) = shown.split_once("[..]") else { return shown.trim_end() == printed.trim_end() };
    let Some(mut left) = printed.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split("[..]").collect();
    let (last, between) = parts.split_last().expect("one at least");
    for part in between {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.trim_end().ends_with(last.trim_end())
}

/// A shell that remembers, as a person's does.
pub(crate) struct Shell {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Child,
}

impl Shell {
    pub(crate) fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("a shell");
        let input = process.stdin.take().expect("its input");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        Self { input, output, _process: process }
    }

    /// What it printed on both outputs, and its exit status.
    pub(crate) async fn run(&mut self, command: &str) -> (String, i32) {
        let typed = format!("{{\n{command}\n}} </dev/null 2>&1\nprintf '\\n{MARK} %d\\n' $?\n");
        self.input.write_all(typed.as_bytes()).await.expect("its ear");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.output.read_line(&mut line)).await;
            let length = read.unwrap_or_else(|_| panic!("no end in {PATIENCE:?}: {command}\n{printed}"));
            assert!(length.expect("its voice") > 0, "the shell ended in: {command}\n{printed}");
            if let Some(status) = line.strip_prefix(MARK) {
                // One end of a line is the mark's own.
                let printed = printed.strip_suffix('\n').unwrap_or(&printed).to_owned();
                return (printed, status.trim().parse().expect("a status"));
            }
            printed.push_str(&line);
        }
    }

    /// The command must end well and print what is shown.
    pub(crate) async fn follow(&mut self, step: &Step) {
        let (printed, status) = self.run(&step.command).await;
        let shown: Vec<&str> = step.shown.iter().map(String::as_str).collect();
        let told: Vec<&str> = printed.lines().collect();
        assert!(
            status == 0 && fits(&shown, &told),
            "$ {}\nended with {status}\n--- shown\n{}\n--- printed\n{printed}",
            step.command,
            step.shown.join("\n"),
        );
    }
}

#[test]
fn commands_and_what_they_print_are_told_apart() {
    let document = "text\n```console\n$ one\nsaid\n\n$ two <<END\n> in\n>\n> END\nthis\n> that\n```\n```sh\nthree\n```\n";
    let step = |command: &str, shown: &[&str]| Step {
        command: command.to_owned(),
        shown: shown.iter().map(|line| (*line).to_owned()).collect(),
    };
    let expected = [step("one", &["said", ""]), step("two <<END\nin\n\nEND", &["this", "> that"])];
    assert_eq!(steps(document), expected);
    assert_eq!(blocks(document, "sh"), ["three\n"]);
}

#[test]
fn what_is_left_open_fits_anything_and_nothing_else_does() {
    for (shown, printed) in [
        (vec![], vec![]),
        (vec!["a"], vec!["a  "]),
        (vec!["a [..] c"], vec!["a b c"]),
        (vec!["[..]"], vec![""]),
        (vec!["a[..]b[..]c"], vec!["a1b2c"]),
        (vec!["..."], vec![]),
        (vec!["a", "...", "z"], vec!["a", "b", "c", "z"]),
        (vec!["...", "b", "..."], vec!["a", "b", "c"]),
    ] {
        assert!(fits(&shown, &printed), "{shown:?} {printed:?}");
    }
    for (shown, printed) in [
        (vec!["a"], vec![]),
        (vec![], vec!["a"]),
        (vec!["a"], vec!["b"]),
        (vec!["a [..] c"], vec!["a b d"]),
        (vec!["a[..]b[..]c"], vec!["a1c"]),
        (vec!["a", "...", "z"], vec!["a", "b"]),
    ] {
        assert!(!fits(&shown, &printed), "{shown:?} {printed:?}");
    }
}

#[tokio::test]
async fn a_shell_remembers_and_is_heard_whole() {
    let mut shell = Shell::start(Path::new("/"), &[("GIVEN", "by the test")]);
    assert_eq!(shell.run("KEPT=1; printf 'no end'").await, ("no end".to_owned(), 0));
    assert_eq!(
        shell.run("echo $KEPT $GIVEN; echo to >&2; false").await,
        ("1 by the test\nto\n".to_owned(), 1)
    );
    assert_eq!(shell.run("cat <<'END'\n$KEPT\nEND").await, ("$KEPT\n".to_owned(), 0));
}
