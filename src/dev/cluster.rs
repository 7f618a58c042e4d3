//! How `chroma-ha dev` runs a whole cluster in one terminal: set up, serve, and leave nothing
//! running, however it ends. The balancer is a future handed in; this file refuses to know more of
//! it than its port.

mod hold;

use std::path::Path;
use std::time::Duration;

use futures_util::future::join3;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::Error;
use super::error::At;
use super::supervise::keep;
use super::{
    Chroma, ChromaOptions, Options, Postgres, PostgresOptions, Progress, Result, Toolbox, http_status,
};
use hold::Hold;

/// After a signal the balancer drains and returns; it is not waited for longer than this.
const DRAIN_IN: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the balancer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    pub database_url: String,
    pub primary_url: String,
    pub replica_url: String,
    pub port: u16,
}

/// The servers that were started here; those that were given by address are not in it.
#[derive(Debug)]
pub struct Cluster {
    pub parts: Parts,
    pub postgres: Option<Postgres>,
    pub primary: Option<Chroma>,
    pub replica: Option<Chroma>,
    _hold: Hold,
}

/// Sets up what `options` ask for, serves until `serve` returns, and stops everything.
pub async fn run<T, E>(
    options: Options,
    toolbox: Toolbox,
    serve: impl AsyncFnOnce(Parts) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<Error>,
{
    let options = options.without_blanks();
    let mut stop = Stop::listen()?;
    let mut cluster = tokio::select! {
        started = Cluster::start(&options, &toolbox) => started?,
        () = stop.asked() => return Err(Error::Interrupted.into()),
    };
    let parts = cluster.parts.clone();
    let given = cluster.describe(&options);
    let ended = tokio::select! {
        ended = serve(parts) => Some(ended),
        () = cluster.keep(&toolbox.progress) => None,
        () = announce(options.port, &given) => None,
        () = stop.asked_and_waited() => None,
    };
    toolbox.progress.say("stopping the servers");
    cluster.stop().await;
    ended.unwrap_or_else(|| Err(Error::Interrupted.into()))
}

impl Cluster {
    /// One by one: the first failure is told alone, and what already runs ends with the value.
    pub async fn start(options: &Options, toolbox: &Toolbox) -> Result<Self> {
        let folder = std::path::absolute(&options.data).at(&options.data, "finding the folder")?;
        let hold = Hold::take(&folder)?;
        hold.wait_for_former_owner(|| options.check_ports().is_ok()).await;
        options.check_ports()?;
        let progress = &toolbox.progress;
        let postgres = match options.database_url {
            Some(_) => None,
            None => Some(start_postgres(options, &folder, toolbox).await?),
        };
        let (primary, replica) = (options.primary_url.is_none(), options.replica_url.is_none());
        if primary || replica {
            toolbox.chroma().await?;
            progress.say("starting Chroma");
        }
        let (primary, replica) = tokio::try_join!(
            start_chroma(primary, "primary", options.primary_port, &folder, toolbox),
            start_chroma(replica, "replica", options.replica_port, &folder, toolbox),
        )?;
        let url =
            |given: &Option<String>, started: Option<String>| given.clone().or(started).unwrap_or_default();
        let parts = Parts {
            database_url: url(&options.database_url, postgres.as_ref().map(Postgres::url)),
            primary_url: url(&options.primary_url, primary.as_ref().map(Chroma::url)),
            replica_url: url(&options.replica_url, replica.as_ref().map(Chroma::url)),
            port: options.port,
        };
        Ok(Self { parts, postgres, primary, replica, _hold: hold })
    }

    async fn keep(&mut self, progress: &Progress) {
        let (primary, replica) = (self.primary.as_mut(), self.replica.as_mut());
        join3(keep(self.postgres.as_mut(), progress), keep(primary, progress), keep(replica, progress)).await;
    }

    /// All at the same time; nothing of ours runs when this returns.
    pub async fn stop(&mut self) {
        let chroma = async |server: &mut Option<Chroma>| {
            if let Some(server) = server {
                server.stop().await;
            }
        };
        let postgres = async {
            if let Some(server) = &mut self.postgres {
                server.stop().await;
            }
        };
        join3(chroma(&mut self.primary), chroma(&mut self.replica), postgres).await;
    }

    /// Addresses that a person gave may hold passwords, so they are not repeated.
    fn describe(&self, options: &Options) -> Vec<String> {
        let Parts { database_url, primary_url, replica_url, port } = &self.parts;
        let shown = |given: bool, url: &str, variable: &str| {
            if given { format!("as given by {variable}") } else { url.to_owned() }
        };
        vec![
            format!("chroma-ha is up: http://127.0.0.1:{port}"),
            format!("  primary     {}", shown(self.primary.is_none(), primary_url, "PRIMARY_URL")),
            format!("  replica     {}", shown(self.replica.is_none(), replica_url, "REPLICA_URL")),
            format!("  PostgreSQL  {}", shown(self.postgres.is_none(), database_url, "DATABASE_URL")),
            format!("  data        {}", options.data.display()),
            "Ctrl-C stops everything and keeps the data.".to_owned(),
        ]
    }
}

async fn start_postgres(options: &Options, folder: &Path, toolbox: &Toolbox) -> Result<Postgres> {
    toolbox.progress.say("starting PostgreSQL");
    let mut wanted = PostgresOptions::new(folder.join("postgres"));
    wanted.port = Some(options.postgres_port);
    Postgres::start(toolbox, wanted).await
}

async fn start_chroma(
    wanted: bool,
    name: &str,
    port: u16,
    folder: &Path,
    toolbox: &Toolbox,
) -> Result<Option<Chroma>> {
    if !wanted {
        return Ok(None);
    }
    let mut options = ChromaOptions::new(name, folder.join(name));
    options.port = Some(port);
    Chroma::start(toolbox, options).await.map(Some)
}

/// Prints where everything is once the balancer is ready. Never returns.
async fn announce(port: u16, lines: &[String]) {
    while http_status(port, "/readyz").await != Some(200) {
        sleep(LOOK_EVERY).await;
    }
    for line in lines {
        // The balancer serves, whoever reads that.
        let _ = crate::terminal::say(line);
    }
    std::future::pending().await
}

/// Ctrl-C or SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        let place = Path::new("signals");
        let interrupt = signal(SignalKind::interrupt()).at(place, "listening")?;
        let terminate = signal(SignalKind::terminate()).at(place, "listening")?;
        Ok(Self { interrupt, terminate })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The balancer hears the same signal and returns; who is slow, or is asked twice, is cut off.
    async fn asked_and_waited(&mut self) {
        self.asked().await;
        let _cut_off = timeout(DRAIN_IN, self.asked()).await;
    }
}
