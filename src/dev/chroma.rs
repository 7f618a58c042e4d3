//! One real Chroma server on this machine, as users run it, and what can be done to it: stopped,
//! killed, paused, wiped, started again on the same port and data. It never talks to the server
//! beyond its heartbeat.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::error::At;
use super::process::{Process, last_line};
use super::release::Server;
use super::{Error, Result, Toolbox, free_port, http_status};

/// Python loads many modules; on a busy machine that takes its time.
const READY_IN: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(50);

const STOP_IN: Duration = Duration::from_secs(10);

/// Between the look for a free port and its use somebody else may take it.
const PORT_TRIES: u32 = 5;

#[derive(Clone, Debug)]
pub struct ChromaOptions {
    /// For messages: "primary", "replica".
    pub name: String,
    /// Data, configuration and log; kept between starts.
    pub folder: PathBuf,
    /// A free one if not given.
    pub port: Option<u16>,
    /// Chroma refuses `POST /api/v2/reset` without it. Releases before 1.0.0 always refuse it.
    pub allow_reset: bool,
    /// A version such as "1.0.0" instead of the pinned one.
    pub release: Option<String>,
}

impl ChromaOptions {
    /// Any free port, no reset, the pinned release.
    pub fn new(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), folder: folder.into(), port: None, allow_reset: false, release: None }
    }
}

#[derive(Debug)]
pub struct Chroma {
    server: Server,
    name: String,
    folder: PathBuf,
    port: u16,
    allow_reset: bool,
    process: Option<Process>,
}

impl Chroma {
    /// Installs what is missing and waits until the server answers.
    pub async fn start(toolbox: &Toolbox, options: ChromaOptions) -> Result<Self> {
        let server = toolbox.server(options.release.as_deref()).await?;
        let folder = std::path::absolute(&options.folder).at(&options.folder, "finding the folder")?;
        fs::create_dir_all(&folder).at(&folder, "making the folder")?;
        let ChromaOptions { name, port, allow_reset, .. } = options;
        let mut chroma = Self { server, name, folder, port: 0, allow_reset, process: None };
        let mut tries = 0;
        loop {
            tries += 1;
            chroma.port = port.map_or_else(free_port, Ok)?;
            match chroma.start_again().await {
                Err(Error::Start { .. }) if port.is_none() && tries < PORT_TRIES => {}
                other => return other.map(|()| chroma),
            }
        }
    }

    /// After it ended in any way: the same port, the same data.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = None;
        let config = self.folder.join("chroma.yaml");
        fs::write(&config, self.config()?).at(&config, "writing")?;
        let mut launch = self.server.launch(self.log(), &config, &self.data(), self.port);
        launch = launch.env("ANONYMIZED_TELEMETRY", "FALSE").env("PYTHONUNBUFFERED", "1");
        launch.without_env = vec!["CHROMA_", "OTEL_"];
        launch.folder = self.folder.clone();
        self.process = Some(launch.start().at(self.server.program(), "starting chroma")?);
        self.ready().await
    }

    /// A quoted JSON string is a YAML string, too.
    fn config(&self) -> Result<String> {
        let data = self.data();
        let path = serde_json::to_string(&data).map_err(io::Error::other).at(&data, "naming it to Chroma")?;
        let (port, reset) = (self.port, self.allow_reset);
        Ok(format!("persist_path: {path}\nlisten_address: 127.0.0.1\nport: {port}\nallow_reset: {reset}\n"))
    }

    async fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = http_status(self.port, "/api/v2/heartbeat").await;
            let name = format!("Chroma ({})", self.name);
            if !self.is_running() {
                return Err(Error::Start { name, reason: last_line(&self.log()), log: self.log() });
            }
            if answer == Some(200) {
                return Ok(());
            }
            if begun.elapsed() > READY_IN {
                let (seconds, reason) = (READY_IN.as_secs(), last_line(&self.log()));
                return Err(Error::Deadline { name, seconds, reason, log: self.log() });
            }
            sleep(POLL).await;
        }
    }

    /// As an orchestrator does it: SIGTERM, then SIGKILL.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::SIGTERM, STOP_IN).await;
        }
    }

    /// Nothing of it runs when this returns.
    pub fn kill9(&mut self) {
        self.process = None;
    }

    /// It keeps its sockets and answers nothing.
    pub fn sigstop(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn sigcont(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(process) = self.process.as_mut() {
            process.signal(signal);
        }
    }

    /// As if it got an empty disk: killed, its data gone. `start_again` brings an empty server.
    pub fn wipe(&mut self) -> Result<()> {
        self.kill9();
        let data = self.data();
        if data.exists() {
            fs::remove_dir_all(&data).at(&data, "removing the data")?;
        }
        Ok(())
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exit().is_none())
    }

    /// While it has not been stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What Chroma persists: its SQLite file and the vector indexes.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("chroma.log")
    }
}
