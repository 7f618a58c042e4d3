//! The edges of chroma-ha: the only room with sockets, SQL and the environment.

pub mod boot;
mod cause;
pub mod chroma;
pub mod cli;
pub mod config;
pub mod dev;
pub mod front;
pub mod host;
pub mod otel;
pub mod postgres;
pub mod slack;
