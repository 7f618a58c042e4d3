//! What pip is doing and why it failed, read from its output: one short line each. It starts
//! nothing.

/// A step worth telling, or `None` for a line without news.
pub(super) fn step(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("Collecting ") {
        return Some(format!("looking up {}", first_word(rest)));
    }
    if let Some(rest) = line.strip_prefix("Downloading ") {
        return download(rest);
    }
    if let Some(rest) = line.strip_prefix("Installing collected packages: ") {
        return Some(format!("installing {} packages", rest.split(',').count()));
    }
    line.starts_with("Building wheel").then(|| "building a package".to_owned())
}

/// A name such as `onnxruntime-1.23.2-cp311-manylinux.whl (17.4 MB)`, also as the end of an address.
fn download(rest: &str) -> Option<String> {
    let (file, size) = rest.split_once(" (").map_or((rest, ""), |(file, size)| (file, size));
    let name = file.rsplit('/').next()?.split('-').next()?;
    let size = size.trim_end_matches(')');
    // Metadata files are small and say nothing to a person.
    if file.ends_with(".metadata") || name.is_empty() {
        return None;
    }
    Some(if size.is_empty() { format!("downloading {name}") } else { format!("downloading {name} ({size})") })
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).next().unwrap_or(text)
}

/// What a failed run comes down to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The package index was not reached.
    Network(String),
    /// Anything else, in pip's words.
    Other(String),
}

const UNREACHABLE: [&str; 8] = [
    "Temporary failure in name resolution",
    "Name or service not known",
    "nodename nor servname provided",
    "Network is unreachable",
    "Connection refused",
    "No route to host",
    "timed out",
    "Cannot connect to proxy",
];

pub(super) fn failure(output: &str) -> Failure {
    if let Some(reason) = UNREACHABLE.into_iter().find(|reason| output.contains(reason)) {
        return Failure::Network(reason.to_lowercase());
    }
    let errors = output.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let mut lines = errors.clone().filter_map(|line| line.strip_prefix("ERROR: "));
    let line = lines.next().or_else(|| errors.clone().next()).unwrap_or("it said nothing");
    Failure::Other(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_short_and_metadata_is_no_step() {
        let wheel = "  Downloading onnxruntime-1.23.2-cp311-cp311-manylinux.whl (17.4 MB)";
        assert_eq!(step(wheel).as_deref(), Some("downloading onnxruntime (17.4 MB)"));
        assert_eq!(step("Collecting numpy>=1.22 (from chromadb)").as_deref(), Some("looking up numpy"));
        assert_eq!(step("  Downloading numpy-2.1-cp311.whl.metadata (62 kB)"), None);
        assert_eq!(step("Installing collected packages: a, b, c").as_deref(), Some("installing 3 packages"));
        assert_eq!(step("Requirement already satisfied: pip"), None);
    }

    #[test]
    fn no_network_is_told_apart_from_a_refusal() {
        let offline = "WARNING: Retrying ... [Errno -3] Temporary failure in name resolution\nERROR: No matching distribution";
        assert_eq!(failure(offline), Failure::Network("temporary failure in name resolution".into()));
        let refused = "ERROR: No matching distribution found for chromadb==0\n[notice] upgrade\n";
        assert_eq!(failure(refused), Failure::Other("No matching distribution found for chromadb==0".into()));
        assert_eq!(failure(""), Failure::Other("it said nothing".into()));
    }
}
