//! A backup brought back: into an empty cluster as a whole, or one collection of it into any. Nothing is changed
//! before the backup was found whole and the target within it; at the end what is there is compared with what
//! the backup says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chroma_ha_core::backup::{Fates, Fold, Manifest, Names, Plan, Planned, Replay, Request};
use chroma_ha_core::coalesce::Bounds;
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::route::databases_path;
use reqwest::Method;
use serde_json::json;

use super::balancer::Balancer;
use super::compare::compare;
use super::fill::{self, Made, Portions};
use super::folder::Folder;
use super::{Cluster, check, missing, tell};
use crate::failure::Failure;
use crate::progress::Progress;

mod place;
mod target;

pub(crate) use target::When;

/// What is to be restored.
pub(crate) enum Choice {
    /// Everything, into an empty cluster. `resume`: what an earlier attempt left there is gone on with.
    All {
        resume: bool,
    },
    Collection {
        tenant: String,
        database: String,
        name: String,
        to: To,
    },
}

/// Where one collection goes.
pub(crate) enum To {
    /// A new collection of this name.
    Name(String),
    /// Into the live collection of its name: only records that are absent there.
    Missing,
}

pub(crate) struct Restore {
    pub(crate) path: PathBuf,
    pub(crate) when: When,
    pub(crate) choice: Choice,
}

/// Everything that is known before anything is changed.
pub(super) struct Work {
    pub(super) folder: Folder,
    pub(super) manifest: Manifest,
    pub(super) target: Seq,
    pub(super) plan: Plan,
    portions: Portions,
}

/// Returns what to tell.
pub(crate) async fn restore(mut cluster: Cluster, asked: Restore) -> Result<String, Failure> {
    let begun = Instant::now();
    let mut work = prepare(&mut cluster, &asked.path, &asked.when).await?;
    if let Choice::Collection { tenant, database, name, .. } = &asked.choice {
        let only = one(work.plan, tenant, database, name, work.target)?;
        work.plan = Plan { collections: vec![only], ..Plan::default() };
    }
    work.plan.is_known(work.target)?;
    let told = match asked.choice {
        Choice::All { resume } => {
            place::is_free(&mut cluster, &work.plan, resume).await?.everything(&mut cluster, &work).await
        }
        Choice::Collection { to: To::Name(name), .. } => {
            work.plan.collections[0].name.clone_from(&name);
            let told = carry_out(&cluster.balancer, &work, None).await;
            let again = "delete it before you try again";
            told.map_err(|error| {
                error.reworded(|error| format!("{error}; if this restore has begun to make {name}, {again}"))
            })
        }
        Choice::Collection { to: To::Missing, .. } => {
            let only = target::deleted_by(&work, &asked.when, work.plan.collections[0].id)?;
            missing::put_back(&cluster.balancer, work, only).await
        }
    };
    told.map(|told| format!("{told}, in {} s", begun.elapsed().as_secs()))
}

async fn prepare(cluster: &mut Cluster, path: &Path, when: &When) -> Result<Work, Failure> {
    let (folder, manifest) = Folder::open(path)?;
    tell("checking the backup");
    check::whole(&folder, &manifest)?;
    let target = target::resolve(cluster, &folder, &manifest, when).await?;
    let mut fold = Fold::of(&manifest.base.names);
    check::log(&folder, &manifest, target, |logged| fold.log(&logged))?;
    let limit = cluster.balancer.batch_limit().await?;
    let portions = Portions { records: Bounds::of_node(limit).records };
    tell(&format!("restoring to position {target}; the backup holds {}", manifest.span()));
    Ok(Work { folder, manifest, target, plan: fold.plan(), portions })
}

fn one(plan: Plan, tenant: &str, database: &str, name: &str, target: Seq) -> Result<Planned, String> {
    let is_it = |p: &Planned| p.tenant == tenant && p.database == database && p.name == name;
    let found = plan.collections.into_iter().find(is_it);
    found.ok_or_else(|| format!("{tenant}/{database} has no collection {name} at position {target}"))
}

/// `key`: given, collections keep their ids.
pub(super) async fn carry_out(
    balancer: &Balancer,
    work: &Work,
    key: Option<&str>,
) -> Result<String, Failure> {
    let mut made: HashMap<CollectionId, Made> = HashMap::new();
    let mut copied = 0;
    for (at, planned) in work.plan.collections.iter().enumerate() {
        let Planned { tenant, database, name, .. } = planned;
        tell(&format!(
            "collection {} of {}: {tenant}/{database}/{name}",
            at + 1,
            work.plan.collections.len()
        ));
        let there = fill::create(balancer, &work.manifest, planned, key).await?;
        copied += fill::fill(balancer, &work.folder, &work.manifest, planned, &there, work.portions).await?;
        fill::change(balancer, planned, &there).await?;
        made.insert(planned.id, there);
    }
    let (entries, fates) = replay(balancer, work, &made).await?;
    tell("comparing");
    let mut records = 0;
    for planned in &work.plan.collections {
        if let Some(there) = made.get(&planned.id) {
            let of_it = fates.of(planned.id);
            records += compare(balancer, &work.folder, &work.manifest, planned, there, of_it).await?;
        }
    }
    Ok(format!(
        "{} collections with {records} records at position {}: {copied} records added, {entries} writes applied \
         again, compared with the backup and found the same",
        work.plan.collections.len(),
        work.target
    ))
}

/// The log's effects. Returns how many entries there were, and what they leave of which record.
async fn replay(
    balancer: &Balancer,
    work: &Work,
    made: &HashMap<CollectionId, Made>,
) -> Result<(u64, Fates), Failure> {
    let bounds = Bounds { records: work.portions.records, ..Bounds::default() };
    let mut replay = Replay::of(made.keys().copied(), bounds);
    let mut fates = Fates::default();
    let (mut entries, mut progress) = (0, Progress::of_records());
    let through = work.target;
    for file in work.manifest.segments.iter().filter(|s| s.after < through).filter_map(|s| s.file.as_ref()) {
        let mut reader = work.folder.reader(file)?;
        while let Some(line) = reader.next()? {
            let logged = check::parse(line)?;
            if logged.seq > through {
                break;
            }
            if logged.collection().is_some_and(|id| made.contains_key(&id)) && logged.is_accepted() {
                fates.note(&logged)?;
                entries += 1;
            }
            for request in replay.log(&logged)? {
                send(balancer, made, &request).await?;
            }
            let text = format!("the log is applied up to position {} of {through}", logged.seq);
            progress.tell(logged.seq.0, Some(through.0), &text);
        }
    }
    for request in replay.end() {
        send(balancer, made, &request).await?;
    }
    Ok((entries, fates))
}

async fn send(
    balancer: &Balancer,
    made: &HashMap<CollectionId, Made>,
    request: &Request,
) -> Result<(), Failure> {
    let Some(there) = made.get(&request.collection) else { return Ok(()) };
    let path = format!("{}/{}", there.path, request.op.name());
    let body = String::from_utf8(request.body.to_vec());
    let body = body.map_err(|_| format!("the write at position {} is no text", request.first))?;
    let answer = balancer.post(&path, body).await?;
    if answer.is_good() {
        return Ok(());
    }
    Err(Failure::Problem(format!(
        "the writes of positions {} to {} ({}) are refused now, although they were accepted then: {}",
        request.first,
        request.last,
        request.op.name(),
        answer.told()
    )))
}

/// Databases and tenants; those that are there stay.
async fn places(balancer: &Balancer, names: &Plan, key: &str) -> Result<(), Failure> {
    for tenant in names.tenants.iter().filter(|tenant| *tenant != "default_tenant") {
        let body = json!({ "name": tenant }).to_string();
        let answer = balancer.post("/api/v2/tenants", body).await?;
        if !answer.is_good() && answer.status != 409 {
            return Err(format!("creating the tenant {tenant} was refused: {}", answer.told()).into());
        }
    }
    for (id, tenant, database) in names.databases.iter().filter(|(id, ..)| !id.is_nil()) {
        let header = format!("{id} {key}");
        let body = json!({ "name": database }).to_string();
        let path = databases_path(tenant);
        let header = Some((fill::RESTORED, header.as_str()));
        let answer = balancer.ask(Method::POST, &path, Some(body), header).await?;
        if !answer.is_good() && answer.status != 409 {
            let why = format!("creating the database {tenant}/{database} was refused: {}", answer.told());
            return Err(Failure::Problem(why));
        }
    }
    Ok(())
}

/// What of another restore may be there.
fn is_known(plan: &Plan, names: &Names) -> Result<(), String> {
    for (id, tenant, database, name) in &names.collections {
        let known =
            |p: &&Planned| p.id == *id && p.tenant == *tenant && p.database == *database && p.name == *name;
        if !plan.collections.iter().any(|p| known(&p)) {
            return Err(format!(
                "the cluster holds {tenant}/{database}/{name} ({id}), which this backup does not: everything is \
                 restored into an empty cluster only; one collection goes anywhere with --collection"
            ));
        }
    }
    Ok(())
}
