//! Does the program tell an operator what is so, do what it is asked and nothing else, and end with the exit
//! code that the manual names? Typed as in a shell.

use std::fs::OpenOptions;
use std::io;
use std::process::Stdio;

use chroma_ha::dev::free_port;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::status::PATIENCE;
use crate::harness::surface::{create, node_state, records, until_quiet, until_state, upsert};
use crate::harness::{Ended, Options, PROGRAM, Stack, Verb, get, request, until};

/// At this address, with this key and database.
struct Desk {
    url: String,
    key: &'static str,
    database: String,
}

impl Desk {
    fn of(stack: &Stack) -> Desk {
        Desk { url: stack.url(), key: "key", database: String::new() }
    }

    fn verb(&self, words: &str) -> Verb {
        let words: Vec<&str> = words.split(' ').chain(["--url", &self.url]).collect();
        Verb::of(&words).env("ADMIN_TOKEN", self.key).env("DATABASE_URL", &self.database)
    }

    async fn typed(&self, words: &str) -> Ended {
        self.verb(words).ended().await
    }

    /// Ends well and says something.
    async fn says(&self, words: &str) -> String {
        let Ended { code, out, err } = self.typed(words).await;
        assert_eq!(code, 0, "{words}: {out}{err}");
        out
    }

    /// Ends with this code and one line.
    async fn refuses(&self, words: &str, code: i32, line: &str) {
        let ended = self.typed(words).await;
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{words}: {}", ended.err);
        let last = ended.err.lines().last().unwrap_or_default();
        assert!(last.contains(line), "{words}: {}", ended.err);
    }
}

#[tokio::test]
async fn every_verb_does_what_it_says_and_ends_with_its_code() {
    let mut stack = Stack::start(Options::default().env("ADMIN_TOKEN", "key")).await;
    let desk = Desk::of(&stack);
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "r", "text").await;
    until_quiet(&url).await;
    let page = desk.says("status").await;
    for part in
        ["All 2 nodes are up", "acting: primary", "replica-1  up", "log: writable here, head 2", "actors: "]
    {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "80 columns:\n{page}");
    let whole: Value = serde_json::from_str(&desk.says("status --json").await).expect("JSON");
    assert_eq!(whole["nodes"].as_array().map(Vec::len), Some(2));
    desk.says("verify").await;
    // Nothing that cannot be taken back without a word for it.
    desk.refuses("rebuild replica-1 docs", 64, "say --yes").await;
    desk.refuses("drain replica-1 --force", 64, "say --yes").await;
    desk.refuses("wal discard replica-1:9", 64, "say --yes").await;
    desk.refuses("drain", 64, "--help").await;
    desk.refuses("fly", 64, "--help").await;
    assert_eq!(node_state(&url, "replica-1").await, "up", "nothing was done");
    desk.refuses("wal discard replica-1:9 --yes", 1, "no open dead letter").await;
    desk.refuses("drain replica-9", 1, "there are: primary, replica-1").await;
    // Whom nobody lets in, and where nobody is.
    Desk { key: "wrong", url: url.clone(), database: String::new() }
        .refuses("wal list", 1, "status 401")
        .await;
    let nowhere = format!("http://127.0.0.1:{}", free_port().expect("a free port"));
    let nobody = Desk { url: nowhere, key: "key", database: String::new() };
    for verb in ["status", "verify", "drain primary", "undrain primary", "switch primary", "wal retry a:1"] {
        nobody.refuses(verb, 2, "no answer from http://127.0.0.1:").await;
    }
    // Out, stopped, and back.
    assert_eq!(desk.says("drain replica-1 --wait").await, "replica-1 is drained: it can be stopped\n");
    assert!(desk.says("status").await.contains("replica-1 is taken out by an operator"));
    desk.refuses("drain primary", 1, "no other node is up to date").await;
    stack.replica().kill9();
    desk.refuses("undrain replica-1 --wait --timeout 1", 75, "not done within 1 s").await;
    stack.replica().start_again().await.expect("the replica again");
    assert_eq!(desk.says("undrain replica-1 --wait").await, "replica-1 is up and has caught up\n");
    assert!(desk.says("switch replica-1").await.starts_with("replica-1 acts"));
    assert!(desk.says("status").await.contains("an operator prefers replica-1"));
    assert!(desk.says("switch --clear").await.starts_with("primary acts"));
    assert!(desk.says("rebuild replica-1 docs --yes").await.contains("quarantined"));
    until_state(&url, "replica-1", "up").await;
}

#[tokio::test]
async fn writes_are_listed_and_shown_by_the_balancer_and_without_one() {
    let mut stack = Stack::start(Options::default().env("ADMIN_TOKEN", "key")).await;
    let mut desk = Desk::of(&stack);
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "r", "text").await;
    let short = json!({"ids": ["s"], "embeddings": [[1.0]], "documents": ["secret words"]});
    assert_eq!(records(&url, &id, "upsert", &short).await.0, 400);
    until_quiet(&url).await;
    let list = async || serde_json::from_str::<Value>(&desk.says("wal list --json").await).expect("JSON");
    until(PATIENCE, "the others are noted to be on every node", async || {
        list().await["writes"].as_array().map(Vec::len) == Some(1)
    })
    .await;
    let listed = list().await;
    let rejected = &listed["writes"][0];
    assert_eq!((&rejected["status"], &rejected["op"]), (&json!("rejected"), &json!("upsert")), "{listed}");
    assert_eq!(rejected["stream"], json!(id), "{listed}");
    let write = rejected["write_id"].as_str().expect("an id").to_owned();
    let table = desk.says("wal list").await;
    assert!(table.contains(&write) && table.contains("no dead letters"), "{table}");
    let one = desk.says("wal list --state all --limit 1").await;
    assert!(one.contains("there are more: --before 3") && !one.contains("create_collection"), "{one}");
    assert!(desk.says("wal list --state all --before 3 --collection docs").await.contains("upsert"));
    assert!(desk.says("wal list --state all --collection catalog").await.contains("create_collection"));
    desk.refuses("wal list --state lost", 64, "--help").await;
    desk.refuses("wal list --limit 0", 64, "--help").await;
    let shown = desk.says(&format!("wal show {write}")).await;
    assert!(shown.contains("rejected") && !shown.contains("secret words"), "{shown}");
    assert!(desk.says(&format!("wal show {write} --body")).await.contains("secret words"));
    desk.refuses("wal show none", 1, "no write with the id `none`").await;
    // The same from the database, once nobody answers.
    stack.balancer.kill9();
    desk.refuses("wal list", 2, "set DATABASE_URL").await;
    desk.database = stack.database_url.clone();
    let again = desk.typed("wal list --json").await;
    assert!(again.code == 0 && again.err.contains("read from the database"), "{}", again.err);
    assert_eq!(serde_json::from_str::<Value>(&again.out).expect("JSON"), listed);
    let all: Value = serde_json::from_str(&desk.says("wal list --state all --json").await).expect("JSON");
    let first = all["writes"][1]["write_id"].as_str().expect("an id");
    let shown: Value =
        serde_json::from_str(&desk.says(&format!("wal show {first} --json")).await).expect("JSON");
    assert_eq!(
        shown["nodes"],
        json!([{"node": "primary", "state": "applied"}, {"node": "replica-1", "state": "applied"}])
    );
    assert!(desk.says(&format!("wal show {write} --body")).await.contains("secret words"));
    desk.refuses("wal list --collection docs", 64, "`docs` is no id").await;
    desk.refuses("wal retry replica-1:9", 2, "no answer").await;
}

#[tokio::test]
async fn the_balancer_that_stands_by_says_not_now() {
    let mut stack = Stack::start(Options::default()).await;
    let mut beside = stack.launch_beside();
    let url = beside.url();
    until(PATIENCE, "the second one stands by", async || {
        let answer = request(reqwest::Method::GET, &format!("{}/status", stack.url()), None).await;
        answer.0 == 200 && chroma_ha::dev::http_status(beside.port(), "/readyz").await == Some(200)
    })
    .await;
    let desk = Desk { url, key: "", database: String::new() };
    desk.refuses("drain replica-1", 75, "ask the holder, at").await;
    beside.stop().await;
}

#[tokio::test]
async fn who_watches_sees_the_page_again_and_again() {
    let stack = Stack::start(Options::default()).await;
    let Verb(mut watching) = Desk::of(&stack).verb("status --watch");
    let mut watching = watching.stdout(Stdio::piped()).spawn().expect("the program");
    let mut lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
    let mut titles = 0;
    while titles < 2 {
        let line = lines.next_line().await.expect("text").expect("it goes on");
        titles += usize::from(line.starts_with("acting: "));
    }
    // Nobody reads any more.
    drop(lines);
    let end = tokio::time::timeout(PATIENCE, watching.wait()).await.expect("it ends by itself");
    assert_eq!(end.expect("its end").code(), Some(0));
}

/// A pipe of which nobody reads.
fn unread() -> io::PipeWriter {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[tokio::test]
async fn who_stops_reading_breaks_nothing() {
    let heard = async |words: &[&str], out: Stdio, err: Stdio| {
        let Verb(mut command) = Verb::of(words);
        let running = command.stdout(out).stderr(err).spawn().expect("the program");
        let ended = running.wait_with_output().await.expect("its end");
        (ended.status.code(), String::from_utf8(ended.stderr).expect("text"))
    };
    let script = ["completions", "bash"];
    assert_eq!(heard(&script, unread().into(), Stdio::piped()).await, (Some(0), String::new()));
    let nobody = format!("http://127.0.0.1:{}", free_port().expect("a port"));
    let (code, _) = heard(&["status", "--url", &nobody], Stdio::null(), unread().into()).await;
    assert_eq!(code, Some(2), "the reason is lost, the code is not");
    let full = OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let (code, said) = heard(&script, full.into(), Stdio::piped()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("standard output cannot be written to") && said.lines().count() == 1, "{said}");
}

/// A person at a terminal, who reads the question and answers.
const PERSON: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen = b""
while b"[y/N]" not in seen:
    seen += os.read(fd, 1024)
os.write(fd, sys.argv[1].encode() + b"\n")
try:
    while chunk := os.read(fd, 1024):
        seen += chunk
except OSError:
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[tokio::test]
async fn a_person_is_asked_before_what_cannot_be_taken_back() {
    let stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "r", "text").await;
    until_quiet(&url).await;
    for (answer, code, says) in [("", 64, "nothing was done"), ("y", 0, "quarantined")] {
        let mut python = Command::new("python3");
        python.args(["-c", PERSON, answer, PROGRAM, "rebuild", "replica-1", "docs", "--url", &url]);
        let ended = Ended::of(python).await;
        assert_eq!(ended.code, code, "{}{}", ended.out, ended.err);
        assert!(ended.out.contains("This replaces what replica-1 holds of docs"), "{}", ended.out);
        assert!(ended.out.contains(says), "{}", ended.out);
    }
    let (_, audit) = get(&format!("{url}/admin/audit")).await;
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(1), "{audit}");
}

/// A program at a terminal.
const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

#[tokio::test]
async fn long_work_is_a_bar_on_a_terminal_and_lines_elsewhere() {
    let stack = Stack::start(Options::default()).await;
    let id = create(&stack.url(), "docs").await;
    upsert(&stack.url(), &id, "r", "text").await;
    until_quiet(&stack.url()).await;
    let (drawn, plain) = (stack.place.join("drawn"), stack.place.join("plain"));
    let backup = |folder: &std::path::Path| {
        let folder = folder.to_str().expect("a path").to_owned();
        ["backup".to_owned(), folder, "--url".to_owned(), stack.url()]
    };
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL, PROGRAM]).args(backup(&drawn)).stdin(Stdio::null());
    python.env("DATABASE_URL", &stack.database_url);
    let ended = Ended::of(python).await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    assert!(ended.out.contains("[==============================] 1 of 1 records"), "{:?}", ended.out);
    let words = backup(&plain);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = Verb::of(&words).env("DATABASE_URL", &stack.database_url).ended().await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    assert!(ended.err.contains("collection 1 of 1") && !ended.err.contains("[="), "{:?}", ended.err);
}

#[tokio::test]
async fn shells_and_man_hear_of_every_verb() {
    let typed = async |words: &[&str]| Verb::of(words).ended().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = typed(&["completions", shell]).await;
        assert!(script.code == 0 && script.out.contains("undrain"), "{shell}: {}", script.err);
    }
    let folder = crate::harness::Place::new("man");
    let pages = folder.join("pages");
    let made = typed(&["man", "--to", &pages.display().to_string()]).await;
    assert_eq!(made.code, 0, "{}", made.err);
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).expect(name);
    assert!(page("chroma-ha.1").contains("Exit codes:"), "{}", page("chroma-ha.1"));
    assert!(page("chroma-ha-drain.1").contains("force"));
    assert!(page("chroma-ha-wal-list.1").contains("rejected"));
    let help = typed(&["--help"]).await.out;
    for code in ["0", "1", "2", "64", "70", "75"] {
        assert!(help.contains(&format!("  {code:>2}  ")), "{code}: {help}");
    }
}
