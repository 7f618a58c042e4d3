//! Between which positions does a copy lie? From where each node that may have answered was certain to stand when
//! it began, to the log's end when it was over. It reads positions and changes nothing.

use std::time::{Duration, Instant};

use chroma_ha_core::backup::{Sight, copied_from};
use chroma_ha_core::ids::Seq;
use tokio::time::sleep;

use super::{Cluster, tell};
use crate::failure::Failure;
use crate::postgres::Marks;

/// A verdict can take as long as a node takes to settle and be read back.
const DECIDED_IN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(200);

/// Where the nodes stand before anything is read.
pub(super) struct Beginning {
    pub(super) marks: Marks,
    sight: Sight,
}

impl Beginning {
    pub(super) async fn of(cluster: &mut Cluster) -> Result<Beginning, Failure> {
        let (sight, marks) = seen(cluster).await?;
        if !sight.safe.keys().any(|node| sight.down.contains_key(node)) {
            return Err(Failure::Problem(
                "no node of this balancer follows the log in this database: is DATABASE_URL the balancer's own, \
                 and is a node up?"
                    .to_owned(),
            ));
        }
        Ok(Beginning { marks, sight })
    }

    /// Now that everything was read.
    pub(super) async fn from(&self, cluster: &mut Cluster) -> Result<Seq, Failure> {
        let (now, _) = seen(cluster).await?;
        let from = copied_from(&self.sight, &now);
        from.ok_or_else(|| Failure::Later("every node was down; try again when one is up".to_owned()))
    }
}

async fn seen(cluster: &mut Cluster) -> Result<(Sight, Marks), Failure> {
    let down = cluster.balancer.nodes().await?;
    let marks = cluster.archive.marks().await?;
    Ok((Sight { down, safe: marks.safe.clone(), turns: marks.turns.clone() }, marks))
}

/// The log's end as it is now, once everything up to there is decided.
pub(super) async fn decided_end(cluster: &mut Cluster) -> Result<Marks, Failure> {
    let end = cluster.archive.marks().await?;
    let begun = Instant::now();
    let mut told = false;
    let mut now = end.clone();
    while now.decided < end.head {
        if begun.elapsed() > DECIDED_IN {
            return Err(Failure::Later(format!(
                "writes after position {} are not decided within {} s: no node that is up has applied them; \
                 see `chroma-ha status`",
                now.decided,
                DECIDED_IN.as_secs()
            )));
        }
        if !told && begun.elapsed() > Duration::from_secs(5) {
            tell(&format!("waiting until position {} is decided; {} is", end.head, now.decided));
            told = true;
        }
        sleep(POLL).await;
        now = cluster.archive.marks().await?;
    }
    Ok(end)
}

/// Refuses where the log no longer holds everything after this position. `refusal` adds what to do then.
pub(super) async fn is_whole_after(
    cluster: &mut Cluster,
    after: Seq,
    refusal: impl FnOnce(String) -> Failure,
) -> Result<(), Failure> {
    let low = cluster.archive.marks().await?.low;
    if low > after {
        return Err(refusal(format!(
            "the log no longer holds what follows position {after}: entries up to {low} were removed \
             (WAL_RETENTION_DAYS, or by hand)"
        )));
    }
    Ok(())
}
