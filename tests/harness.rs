//! What a promise is tested on: a stack of real servers with the balancer in front, made anew for
//! each test and gone after it. It checks nothing by itself but that everything started.
#![allow(dead_code, reason = "each promise uses a part of it")]
#![allow(unused_imports, reason = "each promise uses a part of it")]

mod balancer;
pub(crate) mod browser;
pub(crate) mod campaign;
pub(crate) mod chaos;
mod churn;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod late;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod nodes;
mod place;
pub(crate) mod raw;
pub(crate) mod recorder;
pub(crate) mod refuser;
pub(crate) mod script;
pub(crate) mod secrets;
pub(crate) mod shared;
pub(crate) mod sql;
pub(crate) mod stack;
pub(crate) mod status;
pub(crate) mod surface;
pub(crate) mod tls;
pub(crate) mod transcript;
pub(crate) mod twin;
pub(crate) mod verb;
pub(crate) mod webhook;

pub(crate) use balancer::Balancer;
pub(crate) use churn::Churn;
pub(crate) use client::{delete, get, post, put, request};
pub(crate) use load::Load;
pub(crate) use nodes::{Record, assert_nodes_equal, difference, node_records, until};
pub(crate) use place::Place;
pub(crate) use refuser::{Poison, Refuser};
pub(crate) use shared::toolbox;
pub(crate) use stack::{Options, Stack};
pub(crate) use twin::Twin;
pub(crate) use verb::{Ended, PROGRAM, Verb};
