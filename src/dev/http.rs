//! Does a server on this machine answer a path, and with which status? One request on a fresh
//! connection; it reads no body and knows neither TLS nor names.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(2);

/// The status of `GET path` on 127.0.0.1; `None` when nothing answers HTTP there within 2 s.
pub async fn status(port: u16, path: &str) -> Option<u16> {
    timeout(PATIENCE, ask(port, path)).await.ok()?.ok()?
}

async fn ask(port: u16, path: &str) -> io::Result<Option<u16>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    stream.take(64).read_to_end(&mut head).await?;
    Ok(parse(&head))
}

fn parse(head: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(head);
    line.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(parse(b"HTTP/1.0 503\r\n"), Some(503));
        assert_eq!(parse(b"SSH-2.0-x"), None);
        assert_eq!(parse(b""), None);
    }
}
