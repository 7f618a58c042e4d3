//! The edges of chroma-ha: the only room with sockets, SQL and the environment.

// Those macros panic when nobody reads any more; `terminal` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod backup;
pub mod boot;
mod cause;
pub mod chroma;
pub mod cli;
pub mod config;
pub mod dev;
mod failure;
pub mod front;
pub mod host;
pub mod otel;
pub mod postgres;
mod progress;
mod reload;
pub mod slack;
mod terminal;
pub mod tls;
