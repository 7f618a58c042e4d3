//! Records put back into a live collection: those that were there at the target and are absent now. What is there
//! stays as it is, also what is written meanwhile: they are brought by `add`, which leaves existing ids alone.

use std::collections::HashSet;

use chroma_ha_core::backup::{Planned, shown};
use chroma_ha_core::route::{collection_by_name_path, records_path};
use reqwest::Method;

use super::balancer::Balancer;
use super::fill::{self, Made};
use super::restore::{Work, carry_out};
use super::tell;
use crate::failure::Failure;

/// Records that are asked for with one request.
const PAGE: usize = 250;

/// `only`: no others. The collection as it was is restored beside the live one, and deleted in the end.
pub(super) async fn put_back(
    balancer: &Balancer,
    mut work: Work,
    only: Option<HashSet<String>>,
) -> Result<String, Failure> {
    let target = work.target;
    let planned = work.one();
    let live = collection_by_name_path(&planned.tenant, &planned.database, &planned.name);
    let Some((live, _)) = balancer.described(&live).await? else {
        return Err(Failure::Problem(format!(
            "there is no collection {} now: restore it whole, without --missing",
            planned.name
        )));
    };
    let beside = format!("{}-restoring-{}", short(&planned.name), target);
    let place = (planned.tenant.clone(), planned.database.clone());
    planned.name.clone_from(&beside);
    let told = async {
        carry_out(balancer, &work, None).await?;
        let path = collection_by_name_path(&place.0, &place.1, &beside);
        let found = balancer.described(&path).await?.ok_or_else(gone)?;
        let from = records_path(&place.0, &place.1, found.0.0);
        let to = Made { id: live, path: records_path(&place.0, &place.1, live.0) };
        let (absent, wanted) = bring(balancer, &from, &to, only).await?;
        let answer = balancer.ask(Method::DELETE, &path, None, None).await?;
        if !answer.is_good() && answer.status != 404 {
            return Err(Failure::Problem(format!("it could not be deleted: {}", answer.told())));
        }
        Ok(format!("{absent} of {wanted} records were absent and were put back into {live}"))
    };
    told.await.map_err(|error: Failure| {
        error.reworded(|error| {
            format!("{error}; delete the collection {beside} in {}/{} before you try again", place.0, place.1)
        })
    })
}

/// A name may have 512 characters, in older releases 63.
fn short(name: &str) -> &str {
    name.char_indices().nth(30).map_or(name, |(at, _)| &name[..at])
}

fn gone() -> String {
    "the collection is gone".to_owned()
}

async fn bring(
    balancer: &Balancer,
    from: &str,
    to: &Made,
    only: Option<HashSet<String>>,
) -> Result<(u64, usize), Failure> {
    let there: HashSet<String> = balancer.ids(&to.path).await?.ok_or_else(gone)?.into_iter().collect();
    let mut wanted = balancer.ids(from).await?.ok_or_else(gone)?;
    if let Some(only) = only {
        wanted.retain(|id| only.contains(id));
    }
    let absent: Vec<String> = wanted.iter().filter(|id| !there.contains(*id)).cloned().collect();
    tell(&format!("{} of {} records are absent", absent.len(), wanted.len()));
    let mut done = 0;
    for page in absent.chunks(PAGE) {
        let answer = balancer.records(from, page).await?.ok_or_else(gone)?;
        done += fill::add(balancer, to, &shown(&answer)?).await?;
    }
    Ok((done, wanted.len()))
}

impl Work {
    /// Of a restore of one collection.
    fn one(&mut self) -> &mut Planned {
        &mut self.plan.collections[0]
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_long_name_leaves_room_for_what_is_added() {
        assert_eq!(short("notes"), "notes");
        assert_eq!(short(&"ä".repeat(40)), "ä".repeat(30));
    }
}
