//! Requests that no well-behaved client makes: begun and not ended, sent byte by byte, answers not taken.
//! It writes what it is given and says what came back.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::Stack;

pub(crate) struct Raw {
    stream: TcpStream,
}

/// The head of a request with a body of so many bytes; `None`: in chunks.
pub(crate) fn head(method: &str, path: &str, length: Option<usize>) -> String {
    let body = match length {
        Some(length) => format!("content-length: {length}"),
        None => "transfer-encoding: chunked".to_owned(),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{body}\r\n\r\n")
}

/// A piece of a body in chunks.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

impl Raw {
    pub(crate) async fn to(stack: &Stack) -> Self {
        Self::at(stack.balancer.port()).await
    }

    pub(crate) async fn at(port: u16) -> Self {
        Self { stream: TcpStream::connect(("127.0.0.1", port)).await.expect("the balancer") }
    }

    /// Who refuses a request may close before it was sent to its end.
    pub(crate) async fn send_as_far_as_taken(&mut self, bytes: &[u8]) {
        let _refused = self.stream.write_all(bytes).await;
    }

    /// Its kernel takes hardly more of an answer than is read.
    pub(crate) async fn narrow(stack: &Stack) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 << 10).expect("an option of every socket");
        let stream = socket.connect(([127, 0, 0, 1], stack.balancer.port()).into()).await;
        Self { stream: stream.expect("the balancer") }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("a written request");
    }

    /// Piece after piece, for as long as the other side takes them; then what it had answered.
    pub(crate) async fn dribble(mut self, piece: String, pause: Duration, within: Duration) -> String {
        let mut heard = Vec::new();
        let dribbled = async {
            let mut buffer = [0; 4096];
            loop {
                match timeout(pause, self.stream.read(&mut buffer)).await {
                    Ok(Ok(count @ 1..)) => heard.extend_from_slice(&buffer[..count]),
                    Ok(_) => return,
                    Err(_) => match self.stream.write_all(piece.as_bytes()).await {
                        Ok(()) => {}
                        Err(_) => return,
                    },
                }
            }
        };
        timeout(within, dribbled).await.expect("the connection is closed in time");
        text(&heard)
    }

    /// All that comes until the other side closes.
    pub(crate) async fn rest(mut self, within: Duration) -> String {
        let mut heard = Vec::new();
        let read = async {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.stream.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..count]);
            }
        };
        timeout(within, read).await.expect("the connection is closed in time");
        text(&heard)
    }

    /// What comes in that time.
    pub(crate) async fn taken(mut self, time: Duration) -> String {
        let mut heard = Vec::new();
        let read = async {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.stream.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..count]);
            }
        };
        let _closed_before = timeout(time, read).await;
        text(&heard)
    }

    /// What of an answer comes first.
    pub(crate) async fn answer(mut self, within: Duration) -> String {
        let mut buffer = vec![0; 64 << 10];
        let read = timeout(within, self.stream.read(&mut buffer)).await.expect("an answer in time");
        text(&buffer[..read.expect("an answer")])
    }

    /// Whether an answer begins within that time.
    pub(crate) async fn is_answered(&self, within: Duration) -> bool {
        timeout(within, self.stream.readable()).await.is_ok()
    }

    /// A client that merely closes is not noticed before it is written to.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("a socket");
    }
}

fn text(heard: &[u8]) -> String {
    String::from_utf8_lossy(heard).into_owned()
}
