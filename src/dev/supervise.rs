//! When a server of ours ends on its own, how is it brought back? One line says so, then it is
//! started again, later each time it fails soon. It stops nothing and never gives up.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Chroma, Postgres, Progress, Result};

const LOOK_EVERY: Duration = Duration::from_millis(200);

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Who ran this long is forgiven earlier ends.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// A server that can be looked at and started again.
pub(super) trait Server {
    fn title(&self) -> String;
    fn runs(&mut self) -> bool;
    async fn again(&mut self) -> Result<()>;
}

impl Server for Chroma {
    fn title(&self) -> String {
        format!("Chroma ({})", self.name())
    }

    fn runs(&mut self) -> bool {
        self.is_running()
    }

    async fn again(&mut self) -> Result<()> {
        self.start_again().await
    }
}

impl Server for Postgres {
    fn title(&self) -> String {
        "PostgreSQL".to_owned()
    }

    fn runs(&mut self) -> bool {
        self.is_running()
    }

    async fn again(&mut self) -> Result<()> {
        self.start_again().await
    }
}

/// Woken by: 1. the look every 200 ms; 2. the end of a wait before a start. Never returns.
pub(super) async fn keep<S: Server>(server: Option<&mut S>, progress: &Progress) {
    let Some(server) = server else { return std::future::pending().await };
    let mut wait = FIRST_WAIT;
    let mut up_since = Instant::now();
    loop {
        sleep(LOOK_EVERY).await;
        if server.runs() {
            continue;
        }
        if up_since.elapsed() > LONG_ENOUGH {
            wait = FIRST_WAIT;
        }
        let (title, ms) = (server.title(), wait.as_millis());
        progress.say(format!("{title} ended on its own; it is started again in {ms} ms"));
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        match server.again().await {
            Ok(()) => progress.say(format!("{title} runs again")),
            Err(reason) => progress.say(reason.to_string()),
        }
        up_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Frail {
        starts: u32,
        up: bool,
    }

    impl Server for Frail {
        fn title(&self) -> String {
            "it".to_owned()
        }

        fn runs(&mut self) -> bool {
            self.up
        }

        async fn again(&mut self) -> Result<()> {
            self.starts += 1;
            self.up = self.starts >= 3;
            if self.up { Ok(()) } else { Err(super::super::Error::NoPort) }
        }
    }

    #[tokio::test]
    async fn it_tries_until_it_runs_and_says_so() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let progress = Progress::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        let mut frail = Frail { starts: 0, up: false };
        let patience = Duration::from_secs(5);
        let kept = tokio::time::timeout(patience, keep(Some(&mut frail), &progress)).await;
        assert!(kept.is_err() && frail.starts == 3);
        let told = told.lock().unwrap();
        assert_eq!(told.last().map(String::as_str), Some("it runs again"));
        assert!(told[0].contains("500 ms") && told[2].contains("1000 ms"), "{told:?}");
    }
}
