//! What a whole cluster on one machine is made of: PostgreSQL, real Chroma servers and what must
//! be installed for them. `chroma-ha dev` and the tests run this same code. It refuses to know
//! anything about the balancer itself: that is handed in as a future.

mod account;
mod binaries;
mod chroma;
mod cluster;
mod command;
mod error;
mod folder;
mod http;
mod node;
mod options;
mod pip;
mod port;
mod postgres;
mod process;
mod progress;
mod python;
mod release;
mod supervise;
mod toolbox;

pub use account::Account;
pub use binaries::Binaries;
pub use chroma::{Chroma, ChromaOptions};
pub use cluster::{Cluster, Parts, run};
pub use error::Error;
pub use http::status as http_status;
pub use options::Options;
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use process::{Launch, Process};
pub use progress::Progress;
pub use toolbox::Toolbox;

pub type Result<T, E = Error> = std::result::Result<T, E>;
