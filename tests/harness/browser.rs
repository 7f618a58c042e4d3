//! A person's window on a page: a real Chromium without a screen, spoken to over its own pipe in the DevTools
//! protocol. It opens an address, answers what is on the page, and takes pictures; it decides nothing.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// A busy machine starts a browser slowly.
const PATIENCE: Duration = Duration::from_secs(60);

const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];

/// Where pictures go; without it none are taken.
const SHOTS: &str = "CHROMA_HA_SHOTS";

pub(crate) struct Browser {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    asked: u64,
    // Dropped last: the program writes there.
    _process: Child,
    _profile: TempDir,
}

/// The browser of this machine: what `CHROMIUM` names, or one in the search path.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

impl Browser {
    /// None, and a line that says so, where there is no browser.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("not run, because no browser was found: install chromium, or name one in CHROMIUM");
            return None;
        };
        let profile = TempDir::new().expect("a folder for the browser");
        let mut arguments = vec!["--headless", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"];
        if nix::unistd::geteuid().is_root() {
            arguments.push("--no-sandbox");
        }
        // It wants its pipe as 3 and 4; a shell can put it there.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 >/dev/null"#, "sh"])
            .arg(program)
            .args(arguments)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let input = process.stdin.take().expect("its input");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut browser =
            Self { input, output, session: None, asked: 0, _process: process, _profile: profile };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"})).await;
        let page = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &page).await;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        Some(browser)
    }

    async fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut text = request.to_string().into_bytes();
        text.push(0);
        self.input.write_all(&text).await.expect("the browser runs");
        let answer = timeout(PATIENCE, self.answer()).await;
        let answer = answer.unwrap_or_else(|_| panic!("the browser did not answer {method}"));
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// To the last request; what the browser tells unasked is passed over.
    async fn answer(&mut self) -> Value {
        loop {
            let mut text = Vec::new();
            let length = self.output.read_until(0, &mut text).await.expect("the browser's pipe");
            assert!(length > 0, "the browser ended; does it run on this machine?");
            text.pop();
            let answer: Value = serde_json::from_slice(&text).expect("JSON");
            if answer["id"] == self.asked {
                return answer;
            }
        }
    }

    /// As a person with a window of this size would have it.
    pub(crate) async fn look(&mut self, [width, height]: [u32; 2], dark: bool) {
        let phone = width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", &size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features).await;
    }

    pub(crate) async fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({"url": url})).await;
    }

    /// The value of an expression on the page; one that fails fails the test.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of what a selector finds; empty where it finds nothing.
    pub(crate) async fn text(&mut self, selector: &str) -> String {
        let selector = Value::String(selector.to_owned());
        let found = self.value(&format!("document.querySelector({selector})?.innerText ?? ''")).await;
        found.as_str().unwrap_or_default().to_owned()
    }

    /// As from the keyboard: what has the focus gets the key.
    pub(crate) async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key});
            if key == "Enter" {
                event["text"] = json!("\r");
                event["windowsVirtualKeyCode"] = json!(13);
            }
            self.call("Input.dispatchKeyEvent", &event).await;
        }
    }

    pub(crate) async fn enter(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text})).await;
    }

    /// A picture of the whole page, for people, in three looks; only if a folder for it is named.
    pub(crate) async fn shots(&mut self, name: &str) {
        let Some(folder) = std::env::var_os(SHOTS).map(PathBuf::from) else { return };
        std::fs::create_dir_all(&folder).expect("the folder for pictures");
        for (look, width, dark) in
            [("desktop-light", 1360, false), ("desktop-dark", 1360, true), ("phone", 360, false)]
        {
            self.look([width, 900], dark).await;
            let height = self.value("document.documentElement.scrollHeight").await;
            self.look([width, u32::try_from(height.as_u64().unwrap_or(900)).unwrap_or(900)], dark).await;
            // Painted twice at the new size before the picture is taken.
            let painted = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 500, 1))))";
            self.value(painted).await;
            let shot = json!({"format": "png", "captureBeyondViewport": true});
            let shot = self.call("Page.captureScreenshot", &shot).await;
            let picture = BASE64_STANDARD.decode(shot["data"].as_str().unwrap_or_default()).expect("base64");
            std::fs::write(folder.join(format!("{name}-{look}.png")), picture).expect("a picture");
        }
    }
}
