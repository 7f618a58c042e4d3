//! The names of one owner and which collection each leads to. A collection is known by the number it was
//! born with, which its metadata carries, so that one made again under the same name is another.

use std::collections::BTreeMap;

use super::Object;

#[derive(Clone, Debug)]
pub(crate) enum NameOp {
    Create { name: String, born: u64 },
    Delete { name: String },
    Rename { born: u64, to: String },
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) born: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Names;

impl Object for Names {
    type State = BTreeMap<String, u64>;
    type Op = NameOp;
    type Seen = Found;

    fn after(op: &NameOp, state: &BTreeMap<String, u64>) -> Option<BTreeMap<String, u64>> {
        let mut names = state.clone();
        match op {
            NameOp::Create { name, born } => names.insert(name.clone(), *born).is_none().then_some(names),
            NameOp::Delete { name } => names.remove(name).is_some().then_some(names),
            NameOp::Rename { born, to } => {
                let from = names.iter().find(|(_, known)| *known == born)?.0.clone();
                names.remove(&from);
                names.insert(to.clone(), *born).is_none().then_some(names)
            }
        }
    }

    fn shows(state: &BTreeMap<String, u64>, found: &Found) -> bool {
        state.get(&found.name).copied() == found.born
    }
}
