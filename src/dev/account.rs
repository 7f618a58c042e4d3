//! As whom does PostgreSQL run? It refuses root, so root lends it an unprivileged account; an
//! ordinary user just runs it. This file knows accounts and who may walk into which folder; it
//! starts nothing and moves nothing.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use super::{Error, Result};

/// In this order; both exist on nearly every system.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// Another account than ours, for a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// `None` when we are an ordinary user and need no other. Data that somebody else owns stays
    /// theirs: it runs as the owner.
    pub fn for_postgres(data: &Path) -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        let owner = std::fs::metadata(data).ok().filter(|meta| meta.uid() != 0);
        if let Some(owner) = owner {
            let name = User::from_uid(owner.uid().into()).ok().flatten();
            let name = name.map_or_else(|| owner.uid().to_string(), |user| user.name);
            return Ok(Some(Self { name, uid: owner.uid(), gid: owner.gid() }));
        }
        let found = NAMES.into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = found.ok_or(Error::NoAccount)?;
        Ok(Some(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// May it walk into this folder, or run this program? What does not exist yet is no hindrance.
    pub(super) fn reaches(&self, path: &Path) -> bool {
        path.ancestors().all(|part| match std::fs::metadata(part) {
            Ok(meta) => self.enters(meta.mode(), meta.uid(), meta.gid()),
            Err(_) => true,
        })
    }

    fn enters(&self, mode: u32, uid: u32, gid: u32) -> bool {
        let bit = if uid == self.uid {
            0o100
        } else if gid == self.gid {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

/// A short name that stands for a path or a text and is the same at every start (FNV-1a, 64 bits).
pub(super) fn fingerprint(path: impl AsRef<OsStr>) -> String {
    let bytes = path.as_ref().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { name: "someone".into(), uid: 500, gid: 600 }
    }

    #[test]
    fn the_nearest_class_of_bits_decides() {
        assert!(account().enters(0o755, 0, 0));
        assert!(!account().enters(0o700, 0, 0));
        assert!(account().enters(0o700, 500, 0));
        assert!(!account().enters(0o077, 500, 600));
        assert!(account().enters(0o710, 0, 600));
        assert!(!account().enters(0o701, 0, 600));
    }

    #[test]
    fn a_path_below_a_closed_folder_is_out_of_reach() {
        use std::os::unix::fs::PermissionsExt;
        let top =
            tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        assert!(!account().reaches(&top.path().join("a/b")));
        assert!(account().reaches(Path::new("/usr/bin")));
    }

    #[test]
    fn fingerprints_stay_and_differ() {
        assert_eq!(fingerprint(Path::new("/a")), fingerprint(Path::new("/a")));
        assert_ne!(fingerprint(Path::new("/a")), fingerprint(Path::new("/b")));
    }
}
