//! Do the tools and schemas of the platforms take the files? The linters come from PyPI at pinned releases; what else
//! is on the machine is asked, too, and is named where it is not.

use std::process::Command;

use super::{COMPOSE, UNIT, WORKFLOW, linter, passed};
use crate::{read, root};

#[tokio::test]
async fn compose_and_the_workflow_fit_their_schemas() {
    for (schema, file) in [("vendor.compose-spec", COMPOSE), ("vendor.github-workflows", WORKFLOW)] {
        passed(linter("check-jsonschema").await.args(["--builtin-schema", schema, file]));
    }
    let wrong = root().join("Cargo.toml");
    let mut checker = linter("check-jsonschema").await;
    let refused = checker.args(["--builtin-schema", "vendor.compose-spec"]).arg(wrong).output();
    assert!(!refused.expect("a checker").status.success(), "it takes anything");
}

#[tokio::test]
async fn the_linter_takes_the_dockerfile() {
    passed(linter("hadolint").await.arg("Dockerfile"));
}

#[test]
fn systemd_takes_the_unit() {
    // It looks whether the program is there, which it is not here.
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("chroma-ha.service");
    let text = read(UNIT).replace("/usr/local/bin/chroma-ha", "/bin/true");
    std::fs::write(&unit, text).expect("the unit");
    match Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        Err(reason) => println!("systemd-analyze was not run ({reason}): the unit is not checked by it"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !said.contains("chroma-ha"), "{said}");
        }
    }
}

#[tokio::test]
async fn the_schemas_of_kubernetes_take_every_manifest() {
    let manifests: Vec<String> = super::kubernetes::manifests().collect();
    assert!(manifests.len() > 5, "{manifests:?}");
    let said = passed(linter("kubernetes-validate").await.args(["--strict", "-k", "1.34"]).args(&manifests));
    let judged = said.lines().filter(|line| line.contains(" passed for resource ")).count();
    let kinds = manifests.iter().map(|path| read(path).matches("\nkind: ").count()).sum::<usize>();
    assert_eq!(judged, kinds, "{said}");
    let mut render = Command::new("kubectl");
    match render.args(["kustomize", "deploy/kubernetes"]).current_dir(root()).output() {
        Err(reason) => println!("kubectl was not run ({reason}): the layers are not put together"),
        Ok(output) => {
            let made = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(made.matches("\nkind: ").count(), kinds, "{made}");
        }
    }
}
