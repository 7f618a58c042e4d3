//! Does the Dockerfile build from what it lets in, and does its start script hand over? Its build steps are followed in
//! a clean folder: with a stand-in that builds nothing but reads manifests and the lock as cargo does, and, when asked
//! for, with cargo itself. No image is made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::passed;
use crate::{assert_none, read, root};

pub(super) const SCRIPT: &str = "deploy/container/start-chroma-ha";

/// In place of cargo.
const STAND_IN: &str = r#"#!/bin/sh
set -eu
[ "$*" = "build --release --locked --bin chroma-ha" ] || { echo "unknown: $*" >&2; exit 1; }
"$REAL_CARGO" tree --locked --offline --edges normal,build --prefix none > /dev/null
mkdir -p target/release
cp src/main.rs target/release/chroma-ha
"#;

/// Instruction and rest, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let parts = joined.lines().filter_map(|line| line.trim().split_once(' '));
    parts.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// Steps of the Dockerfile: the word and what follows it.
type Steps = Vec<(String, String)>;

/// Of the stage `build`, and of the last one.
fn stages() -> (Steps, Steps) {
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for (word, rest) in instructions() {
        if word == "FROM" {
            stages.push(Vec::new());
        }
        if let Some(stage) = stages.last_mut() {
            stage.push((word, rest));
        }
    }
    let [build, last] = &stages[..] else { panic!("{} stages", stages.len()) };
    assert!(build[0].1.ends_with(" AS build"), "{:?}", build[0]);
    (build[1..].to_vec(), last[1..].to_vec())
}

/// What `.dockerignore` lets in: what it names with `!`, without what it takes out again.
struct Context {
    within: Vec<String>,
    without: Vec<String>,
}

impl Context {
    fn read() -> Context {
        let text = read(".dockerignore");
        let lines = text.lines().filter(|line| !line.starts_with('#') && *line != "*");
        let (within, without): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('!'));
        let within = within.into_iter().map(|line| line[1..].to_owned()).collect();
        Context { within, without: without.into_iter().map(str::to_owned).collect() }
    }

    fn has(&self, path: &str) -> bool {
        let below = |rule: &String| path == rule || path.starts_with(&format!("{rule}/"));
        let name = path.rsplit('/').next().unwrap_or_default();
        let out = |rule: &String| below(rule) || rule.strip_prefix("**/").is_some_and(|end| end == name);
        self.within.iter().any(below) && !self.without.iter().any(out)
    }

    /// Copies a file, or what is let in of a folder.
    fn copy(&self, path: &str, to: &Path) {
        let source = root().join(path);
        if !self.has(path) {
            return;
        }
        if source.is_dir() {
            for entry in fs::read_dir(&source).expect("a folder").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.copy(&format!("{path}/{name}"), &to.join(name));
            }
        } else {
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(&source, to).unwrap_or_else(|reason| panic!("{path}: {reason}"));
        }
    }
}

fn copy(context: &Context, rest: &str, folder: &Path) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (to, from) = words.split_last().expect("a target");
    for path in from {
        if *path == "." {
            context.within.iter().for_each(|path| context.copy(path, &folder.join(path)));
            continue;
        }
        assert!(context.has(path) && root().join(path).exists(), "{path} is not let in");
        let name = Path::new(path).file_name().expect("a name");
        context.copy(path, &folder.join(to).join(name));
    }
}

/// Follows the build stage in the folder; cargo is what `path` finds first.
fn build(folder: &Path, path: &str, profile: &[(&str, &str)]) {
    let context = Context::read();
    let mut variables = vec![("PATH".to_owned(), path.to_owned())];
    variables.extend(profile.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    for (word, rest) in stages().0 {
        match word.as_str() {
            "ENV" => {
                let (name, value) = rest.split_once('=').expect("a value");
                variables.push((name.to_owned(), value.to_owned()));
            }
            "WORKDIR" => {}
            "COPY" => copy(&context, &rest, folder),
            "RUN" => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &rest]).current_dir(folder).env_remove("CARGO_TARGET_DIR");
                passed(shell.env("REAL_CARGO", env!("CARGO")).envs(variables.iter().cloned()));
            }
            other => panic!("the test does not know {other}"),
        }
    }
    for (_, rest) in stages().1.iter().filter(|(word, _)| word == "COPY") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        if let Some(made) = words[1].strip_prefix("/build/") {
            assert!(folder.join(made).exists(), "{made} was not built");
        } else if !words[0].starts_with("--from") {
            assert!(context.has(words[1]), "{} is not let in", words[1]);
        }
    }
}

/// A program in a folder of its own.
fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    path
}

fn path_with(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

#[test]
fn the_build_steps_work_with_what_is_let_in() {
    let (folder, tools) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    program(tools.path(), "cargo", STAND_IN);
    build(folder.path(), &path_with(tools.path()), &[]);
    let built = fs::read_to_string(folder.path().join("target/release/chroma-ha")).expect("the program");
    assert_eq!(built, read("src/main.rs"), "the empty program of the dependencies' layer was left");
}

/// Without this the same commands take twice as long; what is built is then smaller and faster, and the steps are the same.
const UNOPTIMISED: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64"),
];

#[test]
fn the_build_steps_make_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    build(folder.path(), &std::env::var("PATH").expect("a path"), &UNOPTIMISED);
    let said = passed(Command::new(folder.path().join("target/release/chroma-ha")).arg("--version"));
    assert_eq!(said.trim(), format!("chroma-ha {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_image_runs_as_nobody_and_asks_itself() {
    let (_, last) = stages();
    let rest = |name: &str| {
        let found = last.iter().find(|(word, _)| word == name);
        found.map(|(_, rest)| rest.as_str()).unwrap_or_else(|| panic!("{name}"))
    };
    assert!(!rest("USER").starts_with('0') && !rest("USER").contains("root"), "{}", rest("USER"));
    assert!(rest("HEALTHCHECK").ends_with(r#"CMD ["chroma-ha", "health"]"#), "{}", rest("HEALTHCHECK"));
    assert_eq!((rest("ENTRYPOINT"), rest("CMD")), (r#"["start-chroma-ha"]"#, r#"["serve"]"#));
    let known =
        |name: &str| name == "MALLOC_MMAP_THRESHOLD_" || chroma_ha::config::table::find(name).is_some();
    let set = last.iter().filter(|(word, _)| word == "ENV").filter_map(|(_, rest)| rest.split_once('='));
    let unknown = set.filter(|(name, _)| !known(name)).map(|(name, _)| name.to_owned());
    assert_none("unknown variables in the image", unknown.collect());
}

/// What the program gets, by a stand-in of it.
fn started(words: &[&str], variables: &[(&str, &str)]) -> String {
    let tools = tempfile::tempdir().expect("a folder");
    program(tools.path(), "chroma-ha", "#!/bin/sh\necho \"$$: $*\"\nenv | grep _URL= | sort\n");
    program(tools.path(), "hostname", "#!/bin/sh\necho 10.0.0.7 10.0.1.7\n");
    let mut shell = Command::new(root().join(SCRIPT));
    shell.args(words).env_clear().env("PATH", path_with(tools.path())).envs(variables.iter().copied());
    let child = shell.stdout(std::process::Stdio::piped()).spawn().expect("the script");
    let process = format!("{}: ", child.id());
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("text");
    said.strip_prefix(&process).unwrap_or_else(|| panic!("another process: {said}")).to_owned()
}

#[test]
fn the_start_script_becomes_the_program() {
    let urls = [("PRIMARY_URL", "chroma-primary:8000"), ("REPLICA_URL", "https://replica")];
    let whole = "PRIMARY_URL=http://chroma-primary:8000\nREPLICA_URL=https://replica\n";
    assert_eq!(started(&["serve"], &urls), format!("serve\n{whole}"));
    assert_eq!(started(&["start-chroma-ha", "monitor"], &urls), format!("monitor\n{whole}"));
    let render = [("RENDER", "true"), ("PORT", "10000")];
    assert_eq!(started(&["serve"], &render), "serve\nADVERTISE_URL=http://10.0.0.7:10000\n");
    let told = [("RENDER", "true"), ("ADVERTISE_URL", "http://here")];
    assert_eq!(started(&["serve"], &told), "serve\nADVERTISE_URL=http://here\n");
}
