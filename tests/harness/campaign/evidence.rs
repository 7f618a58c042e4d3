//! What a failing campaign leaves for people: its plan, what is wrong, every request, every log, and the
//! rows of the write-ahead log.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::Campaign;
use super::report::Report;
use crate::harness::sql::connect;

const ROWS: &str = "SELECT to_jsonb(w) - 'data' FROM wal_pending_writes w ORDER BY seq";

pub(crate) fn folder(seed: u64) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults").join(format!("seed-{seed}"))
}

pub(super) async fn keep(campaign: &Campaign, report: &Report) {
    let folder = folder(campaign.plan.seed);
    let _none = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for evidence");
    let mut told = format!("{report}\n");
    report.wrong.iter().for_each(|wrong| {
        let _text = writeln!(told, "{:?}: {}", wrong.kind, wrong.what);
    });
    campaign.plan.strikes.iter().for_each(|strike| {
        let _text = writeln!(told, "{strike:?}");
    });
    let lines = campaign.hub.book().lines.join("\n");
    for (name, text) in [("report.txt", told), ("requests.txt", lines), ("log.txt", rows(campaign).await)] {
        fs::write(folder.join(name), text).expect("evidence");
    }
    logs(campaign.place().path(), &folder);
    eprintln!("evidence: {}", folder.display());
}

async fn rows(campaign: &Campaign) -> String {
    let url = campaign.arena.stack.postgres.as_ref().expect("its own").url();
    let rows = connect(&url).await.query(ROWS, &[]).await;
    let rows = rows.map_err(|reason| format!("{reason:?}"));
    let line = |row: tokio_postgres::Row| row.get::<_, serde_json::Value>(0).to_string();
    rows.map_or_else(|reason| reason, |rows| rows.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// Logs from one level down are named after their folder.
fn logs(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && name != "data" {
            for inner in fs::read_dir(&path).into_iter().flatten().flatten() {
                copy_log(&inner.path(), to, &format!("{name}-"));
            }
        }
        copy_log(&path, to, "");
    }
}

fn copy_log(path: &Path, to: &Path, prefix: &str) {
    if path.extension().is_some_and(|end| end == "log") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let _kept = fs::copy(path, to.join(format!("{prefix}{name}")));
    }
}
