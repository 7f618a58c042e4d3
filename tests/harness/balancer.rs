//! The real balancer program: started, killed, asked to stop, started again on the same port.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chroma_ha::config::table::OPTIONS;
use chroma_ha::dev::{Launch, Process, free_port, http_status};
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::place::tail;
use super::verb::PROGRAM;

const READY_IN: Duration = Duration::from_secs(30);
const STOP_IN: Duration = Duration::from_secs(30);
const PORT_TRIES: u32 = 3;

/// Settings of the person who runs the tests must not change what is tested.
fn its_own() -> Vec<&'static str> {
    OPTIONS.iter().map(|option| option.name).chain(["PG"]).collect()
}

pub(crate) struct Balancer {
    env: Vec<(String, String)>,
    log: PathBuf,
    port: u16,
    process: Option<Process>,
    /// The program is started by this command, if there is one.
    under: Vec<&'static str>,
}

impl Balancer {
    /// Waits until it is ready; `env` must name the database and the nodes. `log` is its file.
    pub(crate) async fn start(env: Vec<(String, String)>, log: PathBuf) -> Self {
        let mut balancer = Self { env, log, port: 0, process: None, under: Vec::new() };
        for _ in 1..PORT_TRIES {
            balancer.port = free_port().expect("a free port");
            if balancer.launch_and_wait().await.is_ok() {
                return balancer;
            }
        }
        balancer.port = free_port().expect("a free port");
        balancer.start_again().await;
        balancer
    }

    /// Without waiting until it is ready: a standby is not.
    pub(crate) fn launched(env: Vec<(String, String)>, log: PathBuf) -> Self {
        let port = free_port().expect("a free port");
        let mut balancer = Self { env, log, port, process: None, under: Vec::new() };
        balancer.launch();
        balancer
    }

    /// The same port and settings; panics with the end of its log if it does not get ready.
    pub(crate) async fn start_again(&mut self) {
        if let Err(reason) = self.launch_and_wait().await {
            panic!("the balancer {reason}; the end of its log:\n{}", tail(&self.log));
        }
    }

    async fn launch_and_wait(&mut self) -> Result<(), String> {
        self.launch();
        let begun = Instant::now();
        while http_status(self.port, "/readyz").await != Some(200) {
            if let Some(status) = self.process.as_mut().and_then(Process::exit) {
                return Err(format!("ended at its start ({status})"));
            }
            if begun.elapsed() > READY_IN {
                panic!(
                    "the balancer was not ready in {READY_IN:?}; the end of its log:\n{}",
                    tail(&self.log)
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Without waiting for anything, for tests of the start itself.
    pub(crate) fn launch(&mut self) {
        self.process = None;
        let words = [self.under.as_slice(), &[PROGRAM, "serve"]].concat();
        let mut launch = Launch::new(words[0], &self.log).args(&words[1..]);
        launch.without_env = its_own();
        launch = launch.env("PORT", self.port.to_string()).env("ADVERTISE_URL", self.url());
        launch.env.extend(self.env.iter().cloned());
        self.process = Some(launch.start().expect("the balancer program"));
    }

    pub(crate) fn kill9(&mut self) {
        self.process = None;
    }

    /// SIGTERM, and SIGKILL if that is not heard.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::SIGTERM, STOP_IN).await;
        }
    }

    /// SIGSTOP, SIGCONT, SIGTERM without waiting.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some(process) = self.process.as_mut() {
            process.signal(signal);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exit().is_none())
    }

    /// Once it has ended on its own; `None` also when a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.process.as_mut().and_then(Process::exit).and_then(|status| status.code())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// From the next start on.
    pub(crate) fn run_under(&mut self, words: &[&'static str]) {
        self.under = words.to_vec();
    }

    /// For the next start.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
