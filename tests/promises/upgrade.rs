//! Is the guide to an upgrade of Chroma true? Its commands are typed as they stand in the document, its servers
//! are real ones of two releases, and clients write and read all the while: no request may fail.

use std::os::unix::fs::symlink;
use std::path::Path;

use chroma_ha::dev::{Chroma, ChromaOptions};

use crate::harness::status::{PATIENCE, until_all_up};
use crate::harness::transcript::{Shell, steps};
use crate::harness::{Load, Options, PROGRAM, Place, Stack, toolbox};

const GUIDE: &str = include_str!("../../docs/upgrade-chroma.md");

/// The release before the upgrade.
const BEFORE: &str = "1.3.7";

/// Of the document, in its order.
enum Block<'a> {
    /// Typed as it stands.
    Console(&'a str),
    /// What is done to a server: the lines of `docker compose`.
    Server(&'a str),
}

fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    for (at, part) in document.split("```").enumerate().filter(|(at, _)| at % 2 == 1) {
        match part.split_once('\n').unwrap_or_else(|| panic!("block {at} has no lines")) {
            ("console", text) => found.push(Block::Console(text)),
            ("sh", text) => found.push(Block::Server(text)),
            (word, _) => panic!("a block of kind `{word}`"),
        }
    }
    found
}

async fn server(folder: &Path, name: &str, port: Option<u16>, release: &str) -> Chroma {
    let mut options = ChromaOptions::new(name, folder.join(name));
    (options.port, options.release) = (port, Some(release.to_owned()));
    Chroma::start(&toolbox(), options).await.unwrap_or_else(|reason| panic!("{reason}"))
}

/// What the lines say, to a process of this machine.
async fn follow(stack: &mut Stack, lines: &str) -> String {
    let at = usize::from(lines.contains("chroma-replica"));
    assert!(at == 1 || lines.contains("chroma-primary"), "of which server: {lines}");
    let release = lines.split("chromadb/chroma:").nth(1).expect("a release").trim();
    let node = &mut stack.nodes[at];
    node.stop().await;
    if lines.contains("volume rm") {
        node.wipe().expect("an empty disk");
    }
    let (name, port) = (node.name().to_owned(), node.port());
    let folder = node.folder().parent().expect("a folder").to_owned();
    stack.nodes[at] = server(&folder, &name, Some(port), release).await;
    release.to_owned()
}

#[tokio::test]
async fn the_guide_to_an_upgrade_is_followed_and_no_request_fails() {
    let place = Place::new("upgrade");
    let program = place.join("bin");
    std::fs::create_dir_all(&program).expect("a folder");
    symlink(PROGRAM, program.join("chroma-ha")).expect("a link");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let nodes = vec![
        server(place.path(), "primary", None, BEFORE).await,
        server(place.path(), "replica", None, BEFORE).await,
    ];
    let mut stack = Stack::over(place, nodes, Options::default()).await;
    until_all_up(&stack).await;
    let load = Load::start(&stack.url(), 2, 2).await;
    load.a_round(PATIENCE).await;
    let port = stack.balancer.port().to_string();
    let mut shell = Shell::start(stack.place.path(), &[("PORT", &port), ("PATH", &path)]);
    let mut releases = Vec::new();
    for block in blocks(GUIDE) {
        match block {
            Block::Console(text) => {
                for step in steps(&format!("```console\n{text}```")) {
                    shell.follow(&step).await;
                }
            }
            Block::Server(lines) => releases.push(follow(&mut stack, lines).await),
        }
        load.a_round(PATIENCE).await;
        load.assert_nothing_failed();
    }
    assert_eq!(releases, ["1.5.9", "1.5.9", BEFORE], "both up, and one back on an empty disk");
    load.end(&stack, PATIENCE).await;
    let log = stack.balancer.log();
    assert!(!log.contains("is down"), "nobody was alerted:\n{log}");
}
