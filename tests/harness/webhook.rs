//! What would people have read? A web server that takes every message and keeps it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Webhook {
    port: u16,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&kept)));
            }
        });
        Self { port, messages }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/test", self.port)
    }

    pub(crate) fn messages_with(&self, words: &str) -> usize {
        let messages = self.messages.lock().expect("messages");
        messages.iter().filter(|message| message.contains(words)).count()
    }
}

/// One message a connection: a body that is one JSON object.
async fn take(mut stream: TcpStream, messages: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..read]);
    }
    messages.lock().expect("messages").push(String::from_utf8_lossy(&request).into_owned());
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await
}
