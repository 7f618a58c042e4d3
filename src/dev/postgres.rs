//! One PostgreSQL server of our own: made once, started, stopped gently or at once, started again
//! on the same data. It listens on the loopback address only, trusts who can connect there, and
//! keeps its durability settings: an acknowledged commit is on disk.

mod cluster_files;
mod setup;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::error::At;
use super::process::{Launch, Process, last_line};
use super::{Account, Binaries, Error, Result, Toolbox, folder, free_port};

/// Recovery after a hard stop included.
const READY_IN: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(25);

/// A fast shutdown waits for a checkpoint; then it is made to quit.
const FAST_IN: Duration = Duration::from_secs(20);

const QUIT_IN: Duration = Duration::from_secs(5);

/// Signal numbers reach the postmaster only; its children follow it by themselves.
const FAST: Signal = Signal::SIGINT;
const IMMEDIATE: Signal = Signal::SIGQUIT;

/// Between the look for a free port and its use somebody else may take it.
const PORT_TRIES: u32 = 5;

#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Data and log; kept between starts.
    pub folder: PathBuf,
    /// A free one if not given.
    pub port: Option<u16>,
    pub max_connections: u16,
}

impl PostgresOptions {
    /// Any free port, 20 connections.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), port: None, max_connections: 20 }
    }
}

#[derive(Debug)]
pub struct Postgres {
    binaries: Binaries,
    account: Option<Account>,
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    max_connections: u16,
    process: Option<Process>,
}

impl Postgres {
    /// Installs what is missing, makes the data unless it is there, and waits until it answers.
    pub async fn start(toolbox: &Toolbox, options: PostgresOptions) -> Result<Self> {
        let wanted = std::path::absolute(&options.folder).at(&options.folder, "finding the folder")?;
        let (folder, account) = folder::for_data(&wanted, &toolbox.progress)?;
        let made = cluster_files::made_by(&folder);
        let binaries = toolbox.postgres(made, account.as_ref()).await?;
        if let Some(made) = made.filter(|made| *made != binaries.major) {
            let (data, found) = (cluster_files::data(&folder), binaries.major);
            return Err(Error::PgVersion { data, made, binaries: binaries.folder, found });
        }
        let log = folder.join("postgres.log");
        let max_connections = options.max_connections;
        let mut server = Self { binaries, account, folder, log, port: 0, max_connections, process: None };
        if made.is_none() {
            server.initialise().await?;
        }
        server.start_on(options.port).await?;
        Ok(server)
    }

    async fn start_on(&mut self, port: Option<u16>) -> Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.port = port.map_or_else(free_port, Ok)?;
            match self.start_again().await {
                Err(Error::Start { .. }) if port.is_none() && tries < PORT_TRIES => {}
                other => return other,
            }
        }
    }

    /// After a stop: the same data, the same port.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = None;
        cluster_files::clear_stale_lock(&self.data()).await?;
        let begun = Instant::now();
        loop {
            self.process = Some(self.launch().start().at(&self.binaries.folder, "starting postgres")?);
            match self.ready(begun).await {
                // Its former children may need a moment to notice that their postmaster is gone.
                Err(Error::Start { reason, .. }) if reason.contains("shared memory block") => {
                    if begun.elapsed() > QUIT_IN {
                        return Err(self.failed(reason));
                    }
                    sleep(POLL).await;
                }
                other => return other,
            }
        }
    }

    fn launch(&self) -> Launch {
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={}", self.max_connections),
            "logging_collector=off".to_owned(),
        ];
        let mut launch = self.tool("postgres").args(["-D"]).args([self.data()]);
        for setting in settings {
            launch = launch.args(["-c".to_owned(), setting]);
        }
        launch.parting = IMMEDIATE;
        launch.grace = QUIT_IN;
        launch
    }

    /// A program of PostgreSQL, as the right user in the right folder.
    fn tool(&self, name: &str) -> Launch {
        let mut launch = Launch::new(self.binaries.folder.join(name), &self.log).env("LC_ALL", "C");
        launch.without_env = vec!["PG"];
        launch.folder = self.folder.clone();
        launch.account = self.account.clone();
        launch
    }

    async fn ready(&mut self, begun: Instant) -> Result<()> {
        loop {
            if !self.is_running() {
                return Err(self.failed(cluster_files::reason(&self.log)));
            }
            let reason = match setup::prepare(self.port, &self.data()).await {
                Ok(()) if self.is_running() => return Ok(()),
                Ok(()) => continue,
                Err(setup::Unready::Refused(reason)) => return Err(Error::Setup { port: self.port, reason }),
                Err(setup::Unready::NotYet(reason)) => reason,
            };
            if begun.elapsed() > READY_IN {
                let (name, log) = ("PostgreSQL".to_owned(), self.log.clone());
                return Err(Error::Deadline { name, seconds: READY_IN.as_secs(), reason, log });
            }
            sleep(POLL).await;
        }
    }

    fn failed(&self, reason: String) -> Error {
        Error::Start { name: "PostgreSQL".to_owned(), reason, log: self.log.clone() }
    }

    /// Lets running transactions be rolled back and everything be written; quits after a deadline.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(FAST, FAST_IN).await;
        }
    }

    /// As if the machine lost power: the next start recovers from the log of PostgreSQL.
    pub async fn stop_immediate(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(IMMEDIATE, QUIT_IN).await;
        }
    }

    pub async fn restart_immediate(&mut self) -> Result<()> {
        self.stop_immediate().await;
        self.start_again().await
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exit().is_none())
    }

    /// Of the postmaster, the last one if none runs now.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    pub fn data(&self) -> PathBuf {
        cluster_files::data(&self.folder)
    }

    pub fn url(&self) -> String {
        self.url_of(setup::NAME)
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}", setup::NAME, self.port)
    }

    /// An empty database of its own for `url_of`.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        setup::create_database(self.port, name).await
    }
}
