//! What a person can choose for `chroma-ha dev`, and whether the choice can work: no port twice,
//! none taken by somebody else. It starts nothing.

use std::path::PathBuf;

use super::{Error, Result, port};

/// What is given by an address is used, not started.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folder that keeps the data between starts.
    #[arg(long, value_name = "FOLDER", default_value = "./chroma-ha-dev")]
    pub data: PathBuf,
    /// Port of the balancer: the one that clients use.
    #[arg(long, env = "PORT", default_value_t = 8000)]
    pub port: u16,
    /// Port of the first Chroma server.
    #[arg(long, value_name = "PORT", default_value_t = 8001)]
    pub primary_port: u16,
    /// Port of the second Chroma server.
    #[arg(long, value_name = "PORT", default_value_t = 8002)]
    pub replica_port: u16,
    /// Port of PostgreSQL.
    #[arg(long, value_name = "PORT", default_value_t = 8003)]
    pub postgres_port: u16,
    /// A PostgreSQL database to use instead of starting a server.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// A Chroma server to use as the primary instead of starting one.
    #[arg(long, value_name = "URL", env = "PRIMARY_URL", hide_env_values = true)]
    pub primary_url: Option<String>,
    /// A Chroma server to use as the replica instead of starting one.
    #[arg(long, value_name = "URL", env = "REPLICA_URL", hide_env_values = true)]
    pub replica_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./chroma-ha-dev"),
            port: 8000,
            primary_port: 8001,
            replica_port: 8002,
            postgres_port: 8003,
            database_url: None,
            primary_url: None,
            replica_url: None,
        }
    }
}

/// A port that will be listened on.
#[derive(Clone, Copy, Debug)]
struct Need {
    port: u16,
    purpose: &'static str,
    option: &'static str,
}

impl Options {
    /// An empty variable is no address.
    pub(super) fn without_blanks(mut self) -> Self {
        for given in [&mut self.database_url, &mut self.primary_url, &mut self.replica_url] {
            *given = given.take().filter(|url| !url.trim().is_empty());
        }
        self
    }

    fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need { port: self.port, purpose: "the balancer", option: "--port" }];
        let parts = [
            (&self.primary_url, self.primary_port, "Chroma, primary", "--primary-port"),
            (&self.replica_url, self.replica_port, "Chroma, replica", "--replica-port"),
            (&self.database_url, self.postgres_port, "PostgreSQL", "--postgres-port"),
        ];
        let started = parts.into_iter().filter(|(given, ..)| given.is_none());
        needs.extend(started.map(|(_, port, purpose, option)| Need { port, purpose, option }));
        needs
    }

    /// All ports, before anything is installed or started.
    pub(super) fn check_ports(&self) -> Result<()> {
        let needs = self.needs();
        for (at, need) in needs.iter().enumerate() {
            let twin = needs.iter().take(at).find(|other| other.port == need.port);
            if let Some(twin) = twin {
                let (first, second) = (twin.purpose, need.purpose);
                return Err(Error::PortTwice { port: need.port, first, second, option: need.option });
            }
            if !port::is_free(need.port) {
                let Need { port, purpose, option } = *need;
                return Err(Error::PortBusy { port, purpose, option });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_busy_port_is_named_with_the_option_that_changes_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let free = |_: u16| super::super::free_port().unwrap();
        let options = Options {
            port: free(0),
            primary_port: free(1),
            replica_port: port,
            postgres_port: free(3),
            ..Options::default()
        };
        let told = options.check_ports().unwrap_err().to_string();
        assert!(told.contains(&port.to_string()) && told.contains("--replica-port"), "{told}");
        let given = Options { replica_url: Some("http://elsewhere:8000".into()), ..options };
        given.check_ports().unwrap();
        let twice = Options { primary_port: given.port, ..given };
        assert!(matches!(twice.check_ports(), Err(Error::PortTwice { option: "--primary-port", .. })));
    }

    #[test]
    fn an_empty_address_is_not_given() {
        let options = Options { primary_url: Some(" ".into()), ..Options::default() };
        assert_eq!(options.without_blanks().primary_url, None);
    }
}
