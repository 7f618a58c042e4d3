//! Where PostgreSQL's data and programs must lie so that the account it runs as can reach them.
//! When root's own folders are closed to that account, /var/tmp is the way out, and one line says
//! so. It never opens up an existing folder of somebody's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use super::account::fingerprint;
use super::error::At;
use super::{Account, Error, Progress, Result};

const ELSEWHERE: &str = "/var/tmp";

/// The folder that will be used in the place of `wanted`, made and owned by whoever runs PostgreSQL.
pub(super) fn for_data(wanted: &Path, progress: &Progress) -> Result<(PathBuf, Option<Account>)> {
    let Some(account) = Account::for_postgres(wanted)? else {
        fs::create_dir_all(wanted).at(wanted, "making the folder")?;
        return Ok((wanted.to_owned(), None));
    };
    let above = wanted.parent().unwrap_or(wanted);
    fs::create_dir_all(above).at(above, "making the folder")?;
    let (folder, account) = if account.reaches(above) {
        (wanted.to_owned(), account)
    } else {
        let folder = own_corner(wanted)?.join("data");
        let account = Account::for_postgres(&folder)?.unwrap_or(account);
        let name = &account.name;
        let (there, here) = (wanted.display(), folder.display());
        progress.say(format!("PostgreSQL runs as {name}, who cannot reach {there}: its data is in {here}"));
        (folder, account)
    };
    give(&folder, &account).at(&folder, "making the folder")?;
    Ok((folder, Some(account)))
}

fn give(folder: &Path, account: &Account) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(reason) if reason.kind() != io::ErrorKind::AlreadyExists => return Err(reason),
        _ => {}
    }
    let owner = fs::symlink_metadata(folder)?.uid();
    if owner == account.uid { Ok(()) } else { lchown(folder, Some(account.uid), Some(account.gid)) }
}

/// A folder below /var/tmp that belongs to root and stands for `path`. Anybody may make folders
/// there, so one that is not root's is refused.
fn own_corner(path: &Path) -> Result<PathBuf> {
    let corner = Path::new(ELSEWHERE).join(format!("chroma-ha-{}", fingerprint(path)));
    match fs::create_dir(&corner) {
        Err(reason) if reason.kind() != io::ErrorKind::AlreadyExists => {
            return Err(reason).at(&corner, "making the folder");
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(&corner).at(&corner, "looking at it")?;
    if !meta.is_dir() || meta.uid() != 0 {
        return Err(Error::Foreign { folder: corner });
    }
    open_to_all(&corner, 0o755).at(&corner, "opening it to PostgreSQL")?;
    Ok(corner)
}

/// The packages whose names start with `prefix`, where `account` can run `program` of theirs: in
/// `packages`, or in a copy. They belong together: programs of one load libraries of another.
pub(super) fn for_programs(
    packages: &Path,
    prefix: &str,
    program: &Path,
    account: Option<&Account>,
    progress: &Progress,
) -> Result<PathBuf> {
    let Some(account) = account.filter(|account| !account.reaches(program)) else {
        return Ok(packages.to_owned());
    };
    let corner = own_corner(packages)?;
    let (copy, part) = (corner.join("programs"), corner.join(format!("part-{}", std::process::id())));
    if !copy.exists() {
        let (name, there, here) = (&account.name, packages.display(), copy.display());
        progress.say(format!("PostgreSQL runs as {name}, who cannot reach {there}: copied to {here}"));
        copy_packages(packages, prefix, &part).at(&part, "copying PostgreSQL")?;
        // Another process may have been quicker: then its copy is as good.
        if fs::rename(&part, &copy).is_err() {
            fs::remove_dir_all(&part).at(&part, "removing the second copy")?;
        }
    }
    Ok(copy)
}

fn copy_packages(packages: &Path, prefix: &str, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    open_to_all(to, 0o755)?;
    for entry in fs::read_dir(packages)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if meta.is_file() {
        fs::copy(from, to)?;
        let mode = if meta.mode() & 0o100 != 0 { 0o755 } else { 0o644 };
        return open_to_all(to, mode);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    open_to_all(to, 0o755)
}

fn open_to_all(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}
