//! Does a restored collection hold what the backup says? Which ids are there, of all of them; and the contents of
//! every record that the log did not touch after it was copied. It changes nothing.

use std::collections::{HashMap, HashSet};

use chroma_ha_core::backup::{Fate, Manifest, Origin, Planned, Stored, shown};
use chroma_ha_core::likeness::{Record, alike};

use super::balancer::Balancer;
use super::fill::Made;
use super::folder::Folder;
use crate::failure::Failure;

/// Records that are read back with one request.
const PAGE: usize = 250;

/// How many records there are.
pub(super) async fn compare(
    balancer: &Balancer,
    folder: &Folder,
    manifest: &Manifest,
    planned: &Planned,
    made: &Made,
    fates: Option<&HashMap<String, Fate>>,
) -> Result<u64, Failure> {
    let name = &planned.name;
    let differs =
        |what: String| Failure::Problem(format!("{name} ({}) is not what the backup says: {what}", made.id));
    let there = balancer.ids(&made.path).await?.ok_or_else(|| differs("it is gone".to_owned()))?;
    let there: HashSet<String> = there.into_iter().collect();
    let fate = |id: &str| fates.and_then(|fates| fates.get(id)).copied();
    let mut expected = 0;
    for (id, fate) in fates.into_iter().flatten() {
        match fate {
            Fate::There if there.contains(id) => expected += 1,
            Fate::There => return Err(differs(format!("record {id} is missing"))),
            Fate::Gone if there.contains(id) => {
                return Err(differs(format!("record {id} was deleted and is there")));
            }
            Fate::Gone | Fate::Changed => {}
        }
    }
    let saved = manifest.saved(planned.id).filter(|_| planned.origin == Origin::Base);
    let mut page: Vec<Stored> = Vec::new();
    for part in saved.into_iter().flat_map(|saved| &saved.parts) {
        let mut reader = folder.reader(part)?;
        while let Some(line) = reader.next()? {
            let record = Stored::parse(line)?;
            let known = fate(&record.id);
            if matches!(known, None | Some(Fate::Changed)) {
                if !there.contains(&record.id) {
                    return Err(differs(format!("record {} is missing", record.id)));
                }
                expected += 1;
            }
            if known.is_none() {
                page.push(record);
            }
            if page.len() >= PAGE {
                same(balancer, made, &page).await?.map_err(differs)?;
                page.clear();
            }
        }
    }
    same(balancer, made, &page).await?.map_err(differs)?;
    if there.len() != expected {
        return Err(differs(format!("it has {} records instead of {expected}", there.len())));
    }
    Ok(super::count(expected))
}

/// Inside: which one differs.
async fn same(balancer: &Balancer, made: &Made, records: &[Stored]) -> Result<Result<(), String>, Failure> {
    if records.is_empty() {
        return Ok(Ok(()));
    }
    let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
    let Some(answer) = balancer.records(&made.path, &ids).await? else {
        return Ok(Err("it is gone".to_owned()));
    };
    let found: HashMap<String, Record> =
        shown(&answer)?.into_iter().map(|record| (record.id.clone(), record.record())).collect();
    let same = |record: &&Stored| found.get(&record.id).is_some_and(|there| alike(there, &record.record()));
    let other = records.iter().find(|record| !same(record));
    Ok(other.map_or(Ok(()), |record| Err(format!("record {} differs", record.id))))
}
