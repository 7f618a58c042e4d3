//! Where does a test get a PostgreSQL server of its own? From the machine's binaries; it refuses to
//! install any.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User, chown};
use tempfile::TempDir;

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
    options: Vec<String>,
    child: Mutex<Option<Child>>,
}

/// The server that most tests share; it ends with the last of them.
pub(crate) fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = Arc::new(Server::start(&["fsync=off"]));
    *shared = Arc::downgrade(&server);
    server
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), options)
    }

    /// In a directory that may already hold certificates.
    pub(crate) fn start_in(dir: TempDir, options: &[&str]) -> Server {
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            own(&entry.unwrap().path());
        }
        own(dir.path());
        let data = dir.path().join("data");
        let made = as_postgres("initdb")
            .args(["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = options.iter().map(ToString::to_string).collect();
        let server = Server { port, dir, options, child: Mutex::new(None) };
        server.up();
        server
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres:s3cr3t@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn up(&self) {
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(self.dir.path().join("data"));
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories="]);
        for option in &self.options {
            command.args(["-c", option]);
        }
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        *self.child.lock().unwrap() = Some(command.stderr(log).spawn().unwrap());
        let started = Instant::now();
        while !self.ready() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(started.elapsed() < Duration::from_secs(30), "no server: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ready(&self) -> bool {
        let mut probe = as_binary("pg_isready");
        let probe = probe.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        probe.status().unwrap().success()
    }

    /// Stops at once, as a crash does.
    pub(crate) fn down(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

fn bin() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    if let Some(bin) = found.pop() {
        return bin;
    }
    let output = Command::new("pg_config").arg("--bindir").output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn as_binary(name: &str) -> Command {
    Command::new(bin().join(name))
}

/// PostgreSQL does not run as root.
fn as_postgres(name: &str) -> Command {
    let mut command = as_binary(name);
    if Uid::effective().is_root() {
        let user = User::from_name("postgres").unwrap().unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    }
    command
}

fn own(path: &Path) {
    if Uid::effective().is_root() {
        let user = User::from_name("postgres").unwrap().unwrap();
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}
