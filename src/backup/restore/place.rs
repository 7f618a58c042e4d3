//! May everything be restored into this cluster? Into an empty one; or, when that is wished, into one that holds
//! nothing but what an earlier attempt of the same restore left.

use std::collections::HashSet;

use chroma_ha_core::backup::Plan;
use chroma_ha_core::ids::CollectionId;

use super::super::Cluster;
use super::{Work, carry_out, is_known, places};
use crate::failure::Failure;

/// A cluster that everything goes into.
pub(super) struct Free {
    /// Of its log's balancers: collections keep their ids.
    key: String,
}

pub(super) async fn is_free(cluster: &mut Cluster, plan: &Plan, resume: bool) -> Result<Free, Failure> {
    let names = cluster.archive.names().await?;
    if resume {
        is_known(plan, &names)?;
    } else if let Some((_, tenant, database, name)) = names.collections.first() {
        return Err(Failure::Problem(format!(
            "the cluster is not empty: it holds {} collections, {tenant}/{database}/{name} among them; restore one \
             collection with --collection, or go on with a restore that broke off with --resume",
            names.collections.len()
        )));
    }
    let live: HashSet<CollectionId> = names.collections.iter().map(|(id, ..)| *id).collect();
    let anew = plan.collections.iter().map(|planned| planned.id).filter(|id| !live.contains(id));
    let used = cluster.archive.used_before(&anew.collect::<Vec<_>>()).await?;
    if let Some(id) = used {
        return Err(Failure::Problem(format!(
            "collection {id} has been in this cluster before, and its id cannot be given anew: restore into an empty \
             database with empty servers, or one collection at a time with --collection"
        )));
    }
    let key = cluster.archive.peer_key().await?;
    Ok(Free { key })
}

impl Free {
    pub(super) async fn everything(self, cluster: &mut Cluster, work: &Work) -> Result<String, Failure> {
        let again = "; run the same command with --resume to go on, or begin with an empty cluster";
        let told = async {
            places(&cluster.balancer, &work.plan, &self.key).await?;
            carry_out(&cluster.balancer, work, Some(&self.key)).await
        };
        told.await.map_err(|error: Failure| error.reworded(|error| format!("{error}{again}")))
    }
}
