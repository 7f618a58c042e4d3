//! Does the description of the balancer's own routes, which it serves, tell the truth? Every route's answers are
//! held against it: while all is well, with a dead letter open, and when they refuse.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::dead_letters::{open_letter, stack};
use crate::harness::client;
use crate::harness::nodes::collections_url;
use crate::harness::surface::{create, exchange, until_quiet, until_state, upsert};
use crate::harness::{Place, script, toolbox};

const SOON: Duration = Duration::from_secs(30);

const DESCRIPTION: &str = "/chroma-ha/openapi.yaml";

/// What was answered, by the path as the description has it.
struct Answers {
    url: String,
    heard: Vec<Value>,
}

impl Answers {
    async fn ask(&mut self, method: &str, described: &str, asked: &str, body: &str, status: u16) {
        let (answered, text) = self.hear(method, described, asked, body).await;
        assert_eq!(answered, status, "{method} {asked}: {text}");
    }

    async fn hear(&mut self, method: &str, described: &str, asked: &str, body: &str) -> (u16, String) {
        let url = format!("{}{asked}", self.url);
        let (status, kind, text) = exchange(method, &url, &[], body.to_owned()).await;
        let json = kind.starts_with("application/json");
        let body: Value = if json { serde_json::from_str(&text).expect("JSON") } else { json!(text) };
        let heard =
            json!({"method": method, "path": described, "status": status, "type": kind, "body": body});
        self.heard.push(heard);
        (status, text)
    }

    async fn get(&mut self, path: &str) {
        self.ask("GET", path.split('?').next().expect("a path"), path, "", 200).await;
    }

    async fn figures(&mut self) {
        for path in ["/health", "/livez", "/readyz", "/status", "/wal/status", "/wal/stats", "/metrics"] {
            self.get(path).await;
        }
        for path in ["/metrics?format=json", "/dashboard", DESCRIPTION] {
            self.get(path).await;
        }
        for path in [
            "/admin/audit?limit=1",
            "/admin/dead-letters?state=all",
            "/admin/verify",
            "/admin/nodes",
            "/admin/writes?state=all",
        ] {
            self.get(path).await;
        }
    }

    async fn fate(&mut self, write_id: &str) {
        self.ask("GET", "/wal/writes/{write_id}", &format!("/wal/writes/{write_id}"), "", 200).await;
        let with_body = format!("/admin/writes/{write_id}?body=true");
        self.ask("GET", "/admin/writes/{write_id}", &with_body, "", 200).await;
    }

    /// Taken out, shown, put back; and who acts.
    async fn orders(&mut self) {
        let drain = "/admin/nodes/{node}/drain";
        let undrain = "/admin/nodes/{node}/undrain";
        self.ask("POST", drain, "/admin/nodes/replica-1/drain", "", 202).await;
        for path in ["/admin/nodes", "/status"] {
            self.get(path).await;
        }
        self.ask("POST", drain, "/admin/nodes/primary/drain", "", 409).await;
        self.ask("POST", "/admin/acting", "/admin/acting", r#"{"node":"replica-1"}"#, 409).await;
        self.ask("POST", undrain, "/admin/nodes/replica-1/undrain", "", 202).await;
        self.ask("POST", drain, "/admin/nodes/nobody/drain", "", 404).await;
        self.ask("POST", undrain, "/admin/nodes/primary/undrain", "{", 400).await;
        self.ask("POST", "/admin/acting", "/admin/acting", "{}", 200).await;
        self.ask("GET", "/admin/writes", "/admin/writes?state=lost", "", 400).await;
        self.ask("GET", "/admin/writes/{write_id}", "/admin/writes/none", "", 404).await;
    }

    async fn refusals(&mut self) {
        for path in ["/admin/audit?limit=x", "/admin/dead-letters?state=lost"] {
            self.ask("GET", path.split('?').next().expect("a path"), path, "", 400).await;
        }
        for verb in ["retry", "discard"] {
            let described = format!("/admin/dead-letters/{{id}}/{verb}");
            self.ask("POST", &described, &described.replace("{id}", "replica-1:99"), "", 404).await;
        }
        self.ask("GET", "/wal/writes/{write_id}", "/wal/writes/none", "", 404).await;
        self.ask("POST", "/admin/verify", "/admin/verify", "{", 400).await;
        let unknown = json!({"node": "nobody", "collection": "notes"}).to_string();
        self.ask("POST", "/admin/rebuild", "/admin/rebuild", &unknown, 404).await;
    }

    async fn fit(&self, place: &Place) {
        let answers = place.join("answers.json");
        std::fs::write(&answers, json!(self.heard).to_string()).expect("a file");
        let python = toolbox().linters().await.unwrap_or_else(|reason| panic!("{reason}")).join("python");
        let described = self.heard.iter().find(|heard| heard["path"] == DESCRIPTION).expect("asked for");
        let description = place.join("openapi.yaml");
        std::fs::write(&description, described["body"].as_str().expect("text")).expect("a file");
        let files = [description.display().to_string(), answers.display().to_string()];
        script::run(place, python, "own_routes.py", &[&files[0], &files[1]]).await;
    }
}

async fn write_id(url: &str, collection: &str) -> String {
    let url = format!("{}/{collection}/upsert", collections_url(url));
    let body = json!({"ids": ["asked"], "embeddings": [[1.0, 2.0, 3.0]]});
    let answer = client::exchange(Method::POST, &url, Some(&body)).await.expect("an answer");
    answer.headers["x-chroma-ha-write-id"].to_str().expect("text").to_owned()
}

#[tokio::test]
async fn every_answer_fits_the_description() {
    let (mut stack, refuser) = stack().await;
    let mut answers = Answers { url: stack.url(), heard: Vec::new() };
    let notes = create(&stack.url(), "notes").await;
    upsert(&stack.url(), &notes, "a", "text").await;
    let written = write_id(&stack.url(), &notes).await;
    until_quiet(&stack.url()).await;
    answers.figures().await;
    answers.fate(&written).await;
    answers.refusals().await;
    answers.orders().await;
    until_state(&stack.url(), "replica-1", "up").await;
    answers.ask("POST", "/admin/verify", "/admin/verify", "", 202).await;
    let (_, letter) = open_letter(&mut stack, &refuser, "letters").await;
    answers.figures().await;
    let waiting = write_id(&stack.url(), &notes).await;
    answers.fate(&waiting).await;
    let [retry, discard] = ["retry", "discard"].map(|verb| format!("/admin/dead-letters/{{id}}/{verb}"));
    answers.ask("POST", &retry, &retry.replace("{id}", &letter), "", 202).await;
    let (asked, accept) = (discard.replace("{id}", &letter), r#"{"accept_difference": true}"#);
    // Until the node has refused it once more, 409.
    let begun = Instant::now();
    while answers.hear("POST", &discard, &asked, accept).await.0 != 202 {
        assert!(begun.elapsed() < SOON, "{:?}", answers.heard.last());
        sleep(Duration::from_millis(100)).await;
    }
    let rebuild = json!({"node": "replica-1", "collection": "notes"}).to_string();
    answers.ask("POST", "/admin/rebuild", "/admin/rebuild", &rebuild, 202).await;
    answers.figures().await;
    answers.fit(&stack.place).await;
}
