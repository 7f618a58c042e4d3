//! What does a node really get? Passes bytes through between the balancer and one server, and keeps
//! those that go to the server. It changes nothing and understands nothing.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Recorder {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    pub(crate) async fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(accept(listener, server_port, Arc::clone(&seen)));
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether this text has gone to the server.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().expect("bytes");
        String::from_utf8_lossy(&seen).contains(text)
    }

    pub(crate) fn times_seen(&self, text: &str) -> usize {
        let seen = self.seen.lock().expect("bytes");
        String::from_utf8_lossy(&seen).matches(text).count()
    }

    /// The head of every request, whole.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("bytes");
        let seen = String::from_utf8_lossy(&seen);
        let parts = seen.split(" HTTP/1.1\r\n").skip(1);
        parts.filter_map(|part| Some(part.split_once("\r\n\r\n")?.0.to_owned())).collect()
    }

    /// What the server got under this header where it holds this text, in the order of the requests.
    pub(crate) fn values_of(&self, header: &str, text: &str) -> Vec<String> {
        let seen = self.seen.lock().expect("bytes");
        let seen = String::from_utf8_lossy(&seen);
        let values = seen.split("\r\n").filter_map(|line| line.strip_prefix(header)?.strip_prefix(": "));
        values.filter(|value| value.contains(text)).map(str::to_owned).collect()
    }
}

async fn accept(listener: TcpListener, server_port: u16, seen: Arc<Mutex<Vec<u8>>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(pass(client, server_port, Arc::clone(&seen)));
    }
}

/// Ends when either side does.
async fn pass(client: TcpStream, server_port: u16, seen: Arc<Mutex<Vec<u8>>>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let length = from_client.read(&mut bytes).await?;
            if length == 0 {
                return Ok(());
            }
            seen.lock().expect("bytes").extend_from_slice(&bytes[..length]);
            to_server.write_all(&bytes[..length]).await?;
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}
