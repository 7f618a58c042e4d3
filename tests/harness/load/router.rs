//! Which balancer does a request go to? As a platform's router does it: in turn to those that say they are
//! ready, looked at a few times a second, and to another one where a connection is refused. It repeats no
//! request that may have been delivered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::harness::client::{Answer, exchange};
use crate::harness::get_status;

const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Router {
    /// Base addresses, and whether the balancer there was ready at the last look.
    doors: Arc<Mutex<Vec<(String, bool)>>>,
    turn: AtomicUsize,
    looking: AbortHandle,
}

impl Router {
    pub(crate) fn new(urls: &[&str]) -> Self {
        let doors: Vec<_> = urls.iter().map(|url| ((*url).to_owned(), true)).collect();
        let doors = Arc::new(Mutex::new(doors));
        let looked = Arc::clone(&doors);
        let looking = tokio::spawn(async move {
            loop {
                sleep(LOOK).await;
                let known: Vec<String> = doors_of(&looked).into_iter().map(|(url, _)| url).collect();
                for url in known {
                    let ready = get_status(&format!("{url}/readyz")).await == Some(200);
                    let mut doors = looked.lock().expect("doors that no test tore");
                    doors.iter_mut().filter(|(known, _)| *known == url).for_each(|door| door.1 = ready);
                }
            }
        });
        Self { doors, turn: AtomicUsize::new(0), looking: looking.abort_handle() }
    }

    /// From now on requests may go there, too.
    pub(crate) fn add(&self, url: &str) {
        self.doors.lock().expect("doors that no test tore").push((url.to_owned(), true));
    }

    /// The next one in turn first, then the others; those that are not ready last.
    fn order(&self) -> Vec<String> {
        let mut doors = doors_of(&self.doors);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % doors.len();
        doors.rotate_left(turn);
        doors.sort_by_key(|(_, ready)| !ready);
        doors.into_iter().map(|(url, _)| url).collect()
    }

    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut last = None;
        for url in self.order() {
            match exchange(method.clone(), &format!("{url}{path}"), body).await {
                Err(reason) if reason.is_connect() => last = Some(reason),
                answered => return answered,
            }
        }
        Err(last.expect("a router has a door"))
    }
}

fn doors_of(doors: &Mutex<Vec<(String, bool)>>) -> Vec<(String, bool)> {
    doors.lock().expect("doors that no test tore").clone()
}

impl Drop for Router {
    fn drop(&mut self) {
        self.looking.abort();
    }
}
