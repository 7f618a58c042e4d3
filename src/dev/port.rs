//! Which TCP ports of this machine can be listened on. It hands out numbers and never holds a
//! socket: a port may be taken before it is used, so starters of servers try again.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Error, Result};

/// Below the ports that systems give to outgoing connections (from 32768, or 49152): a server that
/// is away for a while must find its port free when it comes back.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A step that shares no factor with `COUNT`, so that a walk meets every port once.
const STEP: u32 = 7;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port that was free a moment ago. Every process walks from another place.
pub fn free_port() -> Result<u16> {
    let start = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (start + (step % COUNT) * STEP) % COUNT;
        let port = u16::try_from(FIRST + offset).map_err(|_| Error::NoPort)?;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(Error::NoPort)
}

/// Both addresses, because on some systems a listener on one does not hinder the other.
pub(super) fn is_free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .all(|address| TcpListener::bind((address, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_a_taken_one_never() {
        let first = free_port().unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert!(!is_free(first));
        assert_ne!(free_port().unwrap(), first);
        drop(held);
        assert!(is_free(first));
    }
}
