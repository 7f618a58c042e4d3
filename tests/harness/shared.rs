//! What all tests of one process share: the toolbox, one PostgreSQL server with a database per
//! test, and the folder of the run. Values in statics are never dropped: what they hold ends when
//! the process does, in whatever way, because a shell waits for that.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use chroma_ha::dev::{Postgres, PostgresOptions, Progress, Toolbox};
use tokio::sync::OnceCell;

use super::place::keeps;

/// Servers of the run are just being ended by their watchers and may write once more.
const SWEEP: &str = r#"
while read -r _; do :; done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  sleep 1
  rm -rf -- "$1" && exit
done
"#;

struct Root {
    path: std::path::PathBuf,
    _life: Option<ChildStdin>,
}

static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let mut builder = tempfile::Builder::new();
    builder.prefix("chroma-ha-tests-").permissions(Permissions::from_mode(0o755));
    let path = builder.tempdir().expect("a folder for the tests").keep();
    let life = (!keeps()).then(|| sweeper(&path)).flatten();
    Root { path, _life: life }
});

fn sweeper(path: &Path) -> Option<ChildStdin> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SWEEP, "chroma-ha-sweeper"]).arg(path).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("a shell").stdin.take()
}

/// The folder of this run; it is removed after the process has ended.
pub(crate) fn root() -> &'static Path {
    &ROOT.path
}

pub(crate) fn toolbox() -> Toolbox {
    Toolbox::from_env(Progress::stderr()).expect("a toolbox")
}

static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(1);

/// The address of an empty database that nobody else uses.
pub(crate) async fn database() -> String {
    let server = POSTGRES.get_or_init(start).await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    server.create_database(&name).await.unwrap_or_else(|reason| panic!("{reason}"));
    server.url_of(&name)
}

async fn start() -> Postgres {
    let mut options = PostgresOptions::new(root().join("postgres"));
    // Many balancers at once; a test that counts connections takes a server of its own.
    options.max_connections = 200;
    Postgres::start(&toolbox(), options).await.unwrap_or_else(|reason| panic!("{reason}"))
}
