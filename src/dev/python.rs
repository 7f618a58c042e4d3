//! Which Python can make virtual environments here, and how one is made. It looks at what runs,
//! not at what is named: a python3 that does not start is passed over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, Result, command};

const OLDEST: (u32, u32) = (3, 9);

/// The version, then whether venv and ensurepip are there, then where it is.
const PROBE: &str = "
import sys
def has(name):
    try:
        __import__(name)
        return 'yes'
    except ImportError:
        return 'no'
print(sys.version_info[0], sys.version_info[1], has('venv'), has('ensurepip'))
print(sys.executable)
";

/// A Python that is new enough and can make virtual environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) program: PathBuf,
    pub(super) version: (u32, u32),
}

/// What the probe told, before it is judged.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    python: Python,
    missing: Option<&'static str>,
}

/// The one that `PYTHON` names, else python3, else python.
pub(super) async fn find(named: Option<&Path>) -> Result<Python> {
    let candidates = match named {
        Some(path) => vec![path.to_owned()],
        None => vec![PathBuf::from("python3"), PathBuf::from("/usr/bin/python3"), PathBuf::from("python")],
    };
    let mut tried = Vec::new();
    let mut lame = None;
    for candidate in candidates {
        match probe(&candidate).await {
            Ok(Found { python, missing: None }) => return Ok(python),
            Ok(Found { python, missing: Some(module) }) => lame = lame.or(Some((python.program, module))),
            Err(reason) => tried.push(format!("{}: {reason}", candidate.display())),
        }
    }
    match lame {
        Some((python, module)) => Err(Error::NoVenv { python, module: module.to_owned() }),
        None => Err(Error::NoPython { tried: tried.join("; ") }),
    }
}

async fn probe(candidate: &Path) -> Result<Found, String> {
    let said = command::output(candidate, &["-c", PROBE]).await?;
    let found = parse(&said, candidate).ok_or("it did not tell its version")?;
    let (major, minor) = found.python.version;
    if found.python.version < OLDEST {
        return Err(format!("version {major}.{minor} is too old"));
    }
    Ok(found)
}

fn parse(said: &str, candidate: &Path) -> Option<Found> {
    let mut lines = said.lines();
    let mut words = lines.next()?.split_whitespace();
    let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let missing = match (words.next()?, words.next()?) {
        ("yes", "yes") => None,
        ("no", _) => Some("venv"),
        _ => Some("ensurepip"),
    };
    let program = lines.next().filter(|path| !path.is_empty()).map_or(candidate.to_owned(), PathBuf::from);
    Some(Found { python: Python { program, version }, missing })
}

/// pip unpacks itself into the environment, which takes a slow or busy machine a minute.
const MAKING: Duration = Duration::from_secs(300);

/// Makes the virtual environment `folder`; what was there before is gone.
pub(super) async fn make_environment(python: &Python, folder: &Path) -> Result<()> {
    let target = folder.to_string_lossy();
    command::output_within(MAKING, &python.program, &["-m", "venv", "--clear", &target])
        .await
        .map(drop)
        .map_err(|reason| Error::Venv { folder: folder.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_judged_by_what_it_says() {
        let named = Path::new("python3");
        let good = parse("3 11 yes yes\n/usr/bin/python3\n", named).unwrap();
        assert_eq!(good.missing, None);
        assert_eq!(good.python, Python { program: "/usr/bin/python3".into(), version: (3, 11) });
        assert_eq!(parse("3 11 yes no\n\n", named).unwrap().missing, Some("ensurepip"));
        assert_eq!(parse("3 11 no no\n\n", named).unwrap().missing, Some("venv"));
        assert_eq!(parse("hello", named), None);
    }
}
