//! HTTP/1.1 as plainly as can be, on one kept connection: a measured request must cost its server more than its
//! client. It knows bodies with a length and in chunks, and nothing else of the protocol.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The bytes of a request; `more` are whole header lines.
pub(crate) fn request(method: &str, path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// One connection, opened when it is needed.
pub(crate) struct Wire {
    port: u16,
    stream: Option<TcpStream>,
    heard: Inbox,
}

impl Wire {
    pub(crate) fn to(port: u16) -> Self {
        Self { port, stream: None, heard: Inbox::default() }
    }

    /// The status of the answer; its body is kept until the next request.
    pub(crate) async fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.heard = Inbox::default();
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request).await?;
        if !self.heard.read(&mut stream).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = self.heard.first_line().split(' ').nth(1).and_then(|word| word.parse().ok());
        if !self.heard.closes {
            self.stream = Some(stream);
        }
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.heard.body()
    }
}

/// Where messages of one connection are collected; at most one whole message is kept.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// End of the head, and of the whole message.
    head: usize,
    end: usize,
    chunks: Option<Vec<u8>>,
    pub(crate) closes: bool,
}

impl Inbox {
    /// The next message replaces the last one. False: the other side closed before it began.
    pub(crate) async fn read(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.bytes.drain(..self.end);
        (self.head, self.end, self.chunks, self.closes) = (0, 0, None, false);
        while self.head == 0 {
            if let Some(at) = find(&self.bytes, b"\r\n\r\n") {
                self.head = at + 4;
            } else if !self.more(stream).await? {
                return if self.bytes.is_empty() {
                    Ok(false)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
        let head = String::from_utf8_lossy(&self.bytes[..self.head]).to_ascii_lowercase();
        self.closes = head.contains("\r\nconnection: close");
        if head.contains("\r\ntransfer-encoding: chunked") {
            return self.read_chunks(stream).await;
        }
        let length = head.split_once("\r\ncontent-length:").and_then(|(_, rest)| rest.split("\r\n").next());
        self.end = self.head + length.and_then(|word| word.trim().parse::<usize>().ok()).unwrap_or(0);
        self.until(stream, self.end).await?;
        Ok(true)
    }

    async fn read_chunks(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        let (mut at, mut whole) = (self.head, Vec::new());
        loop {
            let line = loop {
                match find(&self.bytes[at..], b"\r\n") {
                    Some(end) => break at + end,
                    None => self.until(stream, self.bytes.len() + 1).await?,
                }
            };
            let size = std::str::from_utf8(&self.bytes[at..line]).ok();
            let size = size.and_then(|word| usize::from_str_radix(word.trim(), 16).ok());
            let size = size.ok_or(io::ErrorKind::InvalidData)?;
            at = line + 2 + size + 2;
            self.until(stream, at).await?;
            whole.extend_from_slice(&self.bytes[line + 2..at - 2]);
            if size == 0 {
                (self.end, self.chunks) = (at, Some(whole));
                return Ok(true);
            }
        }
    }

    async fn until(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<()> {
        self.bytes.reserve(length.saturating_sub(self.bytes.len()));
        while self.bytes.len() < length {
            if !self.more(stream).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.bytes.reserve(16 << 10);
        Ok(stream.read_buf(&mut self.bytes).await? > 0)
    }

    pub(crate) fn first_line(&self) -> &str {
        let line = self.bytes[..self.head].split(|byte| *byte == b'\r').next().unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.chunks.as_deref().unwrap_or(&self.bytes[self.head..self.end])
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
