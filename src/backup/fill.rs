//! One collection of the plan, made and filled through the balancer: created as it was, its copied records added,
//! its later settings set. Everything may be done twice: a record that is there stays as it is.

use chroma_ha_core::backup::{Manifest, Origin, Planned, Stored, added};
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route::{collection_by_name_path, collections_path, records_path};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::balancer::{Balancer, read};
use super::folder::Folder;
use crate::failure::Failure;
use crate::progress::Progress;

/// Says under which id something is to be made, and the key of the log's balancers.
pub(super) const RESTORED: &str = "x-chroma-ha-restored-id";

/// Bytes of one request, before it is made of lines.
const REQUEST_BYTES: usize = 4 << 20;

/// A collection of the plan, in the cluster.
pub(super) struct Made {
    pub(super) id: CollectionId,
    /// The path below which its records are.
    pub(super) path: String,
}

/// How many records go with one request.
#[derive(Clone, Copy)]
pub(super) struct Portions {
    pub(super) records: usize,
}

/// `key`: given, the collection keeps its id.
pub(super) async fn create(
    balancer: &Balancer,
    manifest: &Manifest,
    planned: &Planned,
    key: Option<&str>,
) -> Result<Made, Failure> {
    let Planned { tenant, database, name, .. } = planned;
    let by_name = collection_by_name_path(tenant, database, name);
    let made = |id: CollectionId| Made { id, path: records_path(tenant, database, id.0) };
    if let Some((there, _)) = balancer.described(&by_name).await? {
        // Of an earlier attempt; or somebody's.
        if key.is_some() && there == planned.id {
            return Ok(made(there));
        }
        return Err(Failure::Problem(format!(
            "{tenant}/{database} has a collection {name} ({there}) already: choose another name with --as"
        )));
    }
    let body = Value::Object(request(manifest, planned)?).to_string();
    let header = key.map(|key| format!("{} {key}", planned.id));
    let header = header.as_deref().map(|value| (RESTORED, value));
    let answer = balancer.ask(Method::POST, &collections_path(tenant, database), Some(body), header).await?;
    // An answer that was lost on its way: it is there under the id that it was to get.
    if answer.status == 409
        && let Some((there, _)) = balancer.described(&by_name).await?
        && key.is_some_and(|_| there == planned.id)
    {
        return Ok(made(there));
    }
    let id: Made = made(read::<Id>(&format!("creating {name}"), &answer)?.id);
    match key {
        Some(_) if id.id != planned.id => {
            Err(Failure::Problem(format!("{name} got the id {} instead of {}", id.id, planned.id)))
        }
        _ => Ok(id),
    }
}

#[derive(serde::Deserialize)]
struct Id {
    id: CollectionId,
}

/// Schema and metadata where the release had schemas, else configuration: both together are refused.
fn request(manifest: &Manifest, planned: &Planned) -> Result<Map<String, Value>, String> {
    let mut body = match &planned.origin {
        Origin::Created(body) => body.clone(),
        Origin::Base => {
            let saved = manifest.saved(planned.id);
            let described = &saved.ok_or_else(|| format!("{} was not copied", planned.name))?.described;
            let value = |raw: &Option<Box<serde_json::value::RawValue>>| {
                raw.as_ref()
                    .and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
                    .filter(|v| !v.is_null())
            };
            let schema = value(&described.schema);
            let configuration = value(&described.configuration_json).filter(|_| schema.is_none());
            let fields = [
                ("metadata", value(&described.metadata)),
                ("schema", schema),
                ("configuration", configuration),
            ];
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        }
    };
    body.insert("name".to_owned(), json!(planned.name));
    body.remove("get_or_create");
    Ok(body)
}

/// Its copied records. Returns how many.
pub(super) async fn fill(
    balancer: &Balancer,
    folder: &Folder,
    manifest: &Manifest,
    planned: &Planned,
    made: &Made,
    portions: Portions,
) -> Result<u64, Failure> {
    let saved = manifest.saved(planned.id).filter(|_| planned.origin == Origin::Base);
    let Some(saved) = saved else { return Ok(0) };
    let mut done = 0;
    let mut waiting: Vec<Stored> = Vec::new();
    let mut bytes = 0;
    let mut progress = Progress::of_records();
    for part in &saved.parts {
        let mut reader = folder.reader(part)?;
        while let Some(line) = reader.next()? {
            bytes += line.len();
            waiting.push(Stored::parse(line)?);
            if waiting.len() >= portions.records || bytes >= REQUEST_BYTES {
                done += add(balancer, made, &waiting).await?;
                waiting.clear();
                bytes = 0;
                progress.tell(done, Some(saved.records), &format!("  {done} of {} records", saved.records));
            }
        }
    }
    Ok(done + add(balancer, made, &waiting).await?)
}

/// What is there stays as it is. In halves, where a request would be too large.
pub(super) async fn add(balancer: &Balancer, made: &Made, records: &[Stored]) -> Result<u64, Failure> {
    let mut waiting = vec![records];
    while let Some(records) = waiting.pop() {
        if records.is_empty() {
            continue;
        }
        let answer = balancer.post(&format!("{}/add", made.path), added(records)).await?;
        match answer.status {
            413 if records.len() > 1 => {
                let (front, back) = records.split_at(records.len() / 2);
                waiting.extend([back, front]);
            }
            _ if answer.is_good() => {}
            _ => return Err(format!("adding records to {} was refused: {}", made.id, answer.told()).into()),
        }
    }
    Ok(super::count(records.len()))
}

/// What was set after it was copied or created.
pub(super) async fn change(balancer: &Balancer, planned: &Planned, made: &Made) -> Result<(), Failure> {
    for change in &planned.changes {
        let body = Value::Object(change.clone()).to_string();
        let answer = balancer.ask(Method::PUT, &made.path, Some(body), None).await?;
        if !answer.is_good() {
            return Err(format!("setting up {} was refused: {}", planned.name, answer.told()).into());
        }
    }
    Ok(())
}
