//! What if one request reaches a server long after its sender has given it up? A TCP proxy before one
//! server that withholds the bytes of one connection, from the first request that contains a word, and
//! delivers them when told. Every other connection passes.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Passing,
    /// The next request that contains this is withheld.
    Armed(String),
    Held,
    Released,
}

pub(crate) struct LateProxy {
    port: u16,
    stage: Arc<watch::Sender<Stage>>,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl LateProxy {
    pub(crate) async fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (stage, answer) = (Arc::new(watch::channel(Stage::Passing).0), Arc::default());
        let proxy = Self { port, stage: Arc::clone(&stage), answer: Arc::clone(&answer) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (stage, answer) = (Arc::clone(&stage), Arc::clone(&answer));
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await {
                        pass(client, server, &stage, &answer).await;
                    }
                });
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn withhold(&self, word: &str) {
        self.stage.send_replace(Stage::Armed(word.to_owned()));
    }

    pub(crate) fn is_held(&self) -> bool {
        *self.stage.borrow() == Stage::Held
    }

    /// Delivers what is withheld, and returns the server's answer to it.
    pub(crate) async fn deliver(&self) -> String {
        assert!(self.is_held(), "a request is withheld");
        self.stage.send_replace(Stage::Released);
        let answered = async || !self.answer.lock().expect("an answer").is_empty();
        super::until(std::time::Duration::from_secs(20), "the late request is answered", answered).await;
        String::from_utf8_lossy(&self.answer.lock().expect("an answer")).into_owned()
    }
}

async fn pass(client: TcpStream, server: TcpStream, stage: &watch::Sender<Stage>, answer: &Mutex<Vec<u8>>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (mut asked, mut told) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                if meant(stage, &asked[..read]) {
                    break withheld(&asked[..read], from_client, (from_server, to_server), stage, answer).await;
                }
                if to_server.write_all(&asked[..read]).await.is_err() {
                    return;
                }
            }
            read = from_server.read(&mut told) => {
                let Ok(read @ 1..) = read else { return };
                if to_client.write_all(&told[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn meant(stage: &watch::Sender<Stage>, bytes: &[u8]) -> bool {
    stage.send_if_modified(|stage| {
        let meant = matches!(stage, Stage::Armed(word) if contains(bytes, word));
        if meant {
            *stage = Stage::Held;
        }
        meant
    })
}

/// Takes in the rest of the request, also after the client has gone, and waits to be told.
async fn withheld(
    begun: &[u8],
    mut from_client: OwnedReadHalf,
    (mut from_server, mut to_server): (OwnedReadHalf, OwnedWriteHalf),
    stage: &watch::Sender<Stage>,
    answer: &Mutex<Vec<u8>>,
) {
    let mut bytes = begun.to_vec();
    let mut released = stage.subscribe();
    tokio::select! {
        _ = released.wait_for(|stage| *stage == Stage::Released) => {}
        _ = async {
            while from_client.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
            std::future::pending::<()>().await
        } => {}
    }
    let mut told = vec![0; 1 << 16];
    if to_server.write_all(&bytes).await.is_ok()
        && let Ok(read) = from_server.read(&mut told).await
    {
        answer.lock().expect("an answer").extend_from_slice(&told[..read]);
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}
