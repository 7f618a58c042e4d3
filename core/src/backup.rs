//! What is a backup, and what does restoring it take? A copy of every collection, read record by record while
//! writes went on, and the log from before that copy to after it: applied over the copy, the log makes of it
//! exactly the state at any later position. It reads no file and asks no server.

mod beginning;
mod fates;
mod logged;
mod manifest;
mod plan;
mod record;
mod replay;

pub use beginning::{Sight, copied_from};
pub use fates::{Fate, Fates};
pub use logged::{Logged, Outcome};
pub use manifest::{
    Base, Described, FORMAT, File, LogIdentity, Manifest, ManifestError, Moment, Saved, Segment,
};
pub use plan::{Fold, Names, Origin, Plan, Planned};
pub use record::{Stored, added, shown};
pub use replay::{Replay, Request};
