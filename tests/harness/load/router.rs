//! Which balancer does a request go to? As a platform's router does it: in turn to those that say they are
//! ready, looked at a few times a second, and to another one where a connection is refused. It repeats no
//! request that may have been delivered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::harness::client::{Answer, exchange, try_request};

const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Router {
    /// Base addresses, and whether the balancer there was ready at the last look.
    doors: Arc<Mutex<Vec<(String, bool)>>>,
    turn: AtomicUsize,
    /// Nobody looks while there is no choice.
    looking: OnceLock<AbortHandle>,
}

impl Router {
    pub(crate) fn to(url: &str) -> Self {
        let doors = Arc::new(Mutex::new(vec![(url.to_owned(), true)]));
        Self { doors, turn: AtomicUsize::new(0), looking: OnceLock::new() }
    }

    /// From now on requests go there, too, once it is ready.
    pub(crate) fn add(&self, url: &str) {
        self.doors.lock().expect("doors that no test tore").push((url.to_owned(), false));
        let doors = Arc::clone(&self.doors);
        self.looking.get_or_init(|| tokio::spawn(look(doors)).abort_handle());
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

async fn look(doors: Arc<Mutex<Vec<(String, bool)>>>) {
    loop {
        for (url, _) in doors_of(&doors) {
            let ready = try_request(Method::GET, &format!("{url}/readyz"), None).await;
            let ready = ready.is_ok_and(|(status, _)| status == 200);
            let mut doors = doors.lock().expect("doors that no test tore");
            doors.iter_mut().filter(|(known, _)| *known == url).for_each(|door| door.1 = ready);
        }
        sleep(LOOK).await;
    }
}

fn doors_of(doors: &Mutex<Vec<(String, bool)>>) -> Vec<(String, bool)> {
    doors.lock().expect("doors that no test tore").clone()
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(looking) = self.looking.get() {
            looking.abort();
        }
    }
}
