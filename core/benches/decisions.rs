//! How long do the decisions take that every request needs: what it means, what goes into one transaction, what
//! goes into one request, what a node does next? Each with few and with many of what it looks at. It checks no
//! result, and times nothing that waits for a disk or a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on panics")]

use criterion::{criterion_group, criterion_main};

mod decisions {
    pub(crate) mod commit;
    pub(crate) mod planner;
    pub(crate) mod route;
    pub(crate) mod splice;
}

use decisions::{commit, planner, route, splice};

criterion_group!(all, route::classify, splice::join, commit::groups, planner::one_write, planner::backlog);
criterion_main!(all);
