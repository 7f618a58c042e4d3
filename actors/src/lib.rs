//! The actors of chroma-ha: thin shells that receive, ask `core`, call a port and reply.
//!
//! | actor | owns | hears | tells | a restart loses |
//! |---|---|---|---|---|
//! | `proxy` (one per web worker) | the turn of reads | `Choose`, `Submit` | wal | nothing |
//! | `wal` | group commit, sequence, statuses, lease | `Append`, `Record`, `Find` | board, health | waiting appends (503) |
//! | `replay` (one per node) | that node's lanes in motion | `Wake` | wal, health | nothing: the sequencer keeps the place |
//! | `health` | node states | `Observed`, `LeaseChange` | board, slack, wal | nothing: probes at once |
//! | `resources` | what is short since when, the figures of the last hour | its timer | slack | nothing: samples at once |
//! | `slack` | what is told of the cluster, alerts on their way | `Raise`, `LeaseChange`, its timer | the webhook | nothing: at most one message is sent twice |
//! | `monitor` (only outside, without `proxy`, `wal` and `replay`) | whether balancers and PostgreSQL answer | its timer | slack | nothing: looks at once |
//! | `supervisor` | restart counts, who is silent, escalation | `Fell`, its timer | slack, all (`Ping`) | - |

pub mod board;
pub mod fence;
pub mod gate;
pub mod guard;
pub mod health;
pub mod history;
pub mod monitor;
pub mod proxy;
pub mod replay;
pub mod resources;
pub mod roster;
pub mod slack;
pub mod stats;
pub mod supervisor;
pub mod system;
pub mod trace;
pub mod wal;
