//! Is the balancer on this machine healthy? One request without a runtime, since a container asks every few
//! seconds; over TLS where TLS_CERT_FILE is set. It judges by the status alone, and sends no secret.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use crate::tls::{Own, trusting};

const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(live: bool) -> Result<String, String> {
    let path = if live { "/livez" } else { "/health" };
    let tls = std::env::var("TLS_CERT_FILE").is_ok_and(|path| !path.trim().is_empty());
    ask(SocketAddr::new(address(), super::port()), path, tls)
}

/// Where the balancer listens, as seen from its own machine.
fn address() -> IpAddr {
    let bound = std::env::var("BIND_ADDRESS").ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
    bound.filter(|address| !address.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn ask(address: SocketAddr, path: &str, tls: bool) -> Result<String, String> {
    match status(address, path, tls) {
        Ok(200) => Ok("healthy".to_owned()),
        Ok(status) => Err(format!("unhealthy: {path} answered {status}")),
        Err(error) => Err(format!("unhealthy: {address} did not answer: {error}")),
    }
}

fn status(address: SocketAddr, path: &str, tls: bool) -> std::io::Result<u16> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if !tls {
        return exchange(stream, path);
    }
    let trust = trusting(None, Own::Any).map_err(std::io::Error::other)?;
    let session =
        ClientConnection::new(Arc::new(trust), address.ip().into()).map_err(std::io::Error::other)?;
    exchange(StreamOwned::new(session, stream), path)
}

fn exchange(mut stream: impl Read + Write, path: &str) -> std::io::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // `HTTP/1.1 200` is all that matters.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let digits = std::str::from_utf8(&head[9..]).ok().and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answered_with(head: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(head.as_bytes()).unwrap();
        });
        let outcome = ask(address, "/health", false);
        served.join().unwrap();
        outcome
    }

    #[test]
    fn only_200_is_healthy() {
        assert!(answered_with("HTTP/1.1 200 OK\r\n\r\n").is_ok());
        assert!(answered_with("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err().contains("503"));
        assert!(answered_with("SSH-2.0-OpenSSH").unwrap_err().contains("not HTTP"));
        assert!(answered_with("").is_err());
    }

    #[test]
    fn nobody_there_is_unhealthy() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(free, "/health", false).is_err());
    }
}
