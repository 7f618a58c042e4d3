//! One connection through the proxy: what its two directions do under the mode of the moment, and how
//! it ends. It never takes a connection that lost bytes for a whole one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Mode, Order};

const CHUNK: usize = 64 << 10;

/// A throttled direction moves so often.
const TURNS_PER_SECOND: usize = 20;

/// An answer that nobody waits for is over after so long a silence.
const SILENCE: Duration = Duration::from_millis(250);

/// And so long a server may take to begin it.
const ANSWER_IN: Duration = Duration::from_secs(60);

enum End {
    Close,
    Reset,
}

pub(super) struct Link {
    orders: watch::Receiver<Order>,
    hits: Arc<AtomicUsize>,
    /// Bytes were swallowed: it must not go on as if nothing had happened.
    spoiled: AtomicBool,
    /// Withheld bytes were delivered for a client that has gone.
    orphaned: AtomicBool,
    /// Bytes of the answer that have gone through since the last byte of a request did.
    answered: AtomicUsize,
    chance: AtomicU64,
}

impl Mode {
    /// The end of a client is not passed on: a lost packet says nothing about who sent it.
    fn hides_the_client(self) -> bool {
        matches!(self, Mode::BlackHole | Mode::HoldRequests)
    }

    fn swallows(self) -> bool {
        matches!(self, Mode::BlackHole | Mode::LoseResponseAndHang)
    }

    fn chunk(self) -> usize {
        match self {
            Mode::Throttle { bytes_per_second } => (bytes_per_second / TURNS_PER_SECOND).clamp(1, CHUNK),
            _ => CHUNK,
        }
    }
}

impl Link {
    pub(super) fn new(orders: watch::Receiver<Order>, hits: Arc<AtomicUsize>, number: usize) -> Self {
        Self {
            orders,
            hits,
            spoiled: AtomicBool::new(false),
            orphaned: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            chance: AtomicU64::new(0x9E37_79B9_7F4A_7C15 ^ number as u64),
        }
    }

    pub(super) async fn run(self, mut client: TcpStream, server_port: u16) {
        let Some(mut server) = self.connected(server_port).await else {
            let _gone = client.set_zero_linger();
            return;
        };
        let _open = server.set_nodelay(true);
        let end = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::select! {
                end = self.up(from_client, to_server) => end,
                end = self.down(from_server, to_client) => end,
            }
        };
        if matches!(end, End::Reset) {
            let _gone = (client.set_zero_linger(), server.set_zero_linger());
        }
    }

    /// A client that the mode leaves waiting does not hear that there is no server.
    async fn connected(&self, server_port: u16) -> Option<TcpStream> {
        let mut orders = self.orders.clone();
        loop {
            let mode = orders.borrow_and_update().mode;
            match TcpStream::connect(("127.0.0.1", server_port)).await {
                Ok(server) => return Some(server),
                Err(_) if mode.hides_the_client() => orders.changed().await.ok()?,
                Err(_) => return None,
            }
        }
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// What a mode that has just begun does to an open connection, before any byte.
    fn greeted_by(&self, mode: Mode, first: bool) -> Option<End> {
        let reset = !first && matches!(mode, Mode::Reset | Mode::Refuse);
        if reset {
            self.hit();
        }
        let spoiled = self.spoiled.load(Ordering::Relaxed) && !mode.swallows();
        (reset || spoiled).then_some(End::Reset)
    }

    /// Client to server. Wakes for 1. another mode, 2. bytes or the end of the client.
    async fn up(&self, mut client: ReadHalf<'_>, mut server: WriteHalf<'_>) -> End {
        let mut orders = self.orders.clone();
        let (mut held, mut bytes) = (Vec::new(), vec![0; CHUNK]);
        let (mut gone, mut first) = (false, true);
        loop {
            let mode = orders.borrow_and_update().mode;
            if let Some(end) = self.greeted_by(mode, first) {
                return end;
            }
            first = false;
            if !mode.hides_the_client() && gone && held.is_empty() {
                return End::Close;
            }
            if !mode.hides_the_client() && !held.is_empty() {
                self.orphaned.store(gone, Ordering::Relaxed);
                if server.write_all(&std::mem::take(&mut held)).await.is_err() {
                    return End::Close;
                }
                self.answered.store(0, Ordering::Relaxed);
                if gone {
                    sleep(ANSWER_IN).await;
                    return End::Close;
                }
            }
            tokio::select! {
                biased;
                changed = orders.changed() => if changed.is_err() { return End::Close },
                read = client.read(&mut bytes[..mode.chunk()]), if !gone => match read {
                    Ok(0) | Err(_) if mode.hides_the_client() => gone = true,
                    Ok(0) | Err(_) => return End::Close,
                    Ok(length) => {
                        if let Some(end) = self.requested(mode, &bytes[..length], &mut held, &mut server).await {
                            return end;
                        }
                    }
                },
            }
        }
    }

    async fn requested(
        &self,
        mode: Mode,
        bytes: &[u8],
        held: &mut Vec<u8>,
        server: &mut WriteHalf<'_>,
    ) -> Option<End> {
        match mode {
            Mode::BlackHole => {
                self.hit();
                self.spoiled.store(true, Ordering::Relaxed);
                return None;
            }
            Mode::HoldRequests => {
                self.hit();
                held.extend_from_slice(bytes);
                return None;
            }
            Mode::Reset | Mode::Refuse => {
                self.hit();
                return Some(End::Reset);
            }
            _ => self.slowed(mode, bytes.len()).await,
        }
        self.answered.store(0, Ordering::Relaxed);
        server.write_all(bytes).await.is_err().then_some(End::Close)
    }

    /// Server to client. Wakes for 1. another mode, 2. bytes or the end of the server.
    async fn down(&self, mut server: ReadHalf<'_>, mut client: WriteHalf<'_>) -> End {
        let mut orders = self.orders.clone();
        let mut bytes = vec![0; CHUNK];
        loop {
            let mode = orders.borrow_and_update().mode;
            tokio::select! {
                biased;
                changed = orders.changed() => if changed.is_err() { return End::Close },
                read = server.read(&mut bytes[..mode.chunk()]) => match read {
                    Ok(0) | Err(_) if mode == Mode::BlackHole => {
                        self.spoiled.store(true, Ordering::Relaxed);
                        if orders.changed().await.is_err() {
                            return End::Close;
                        }
                    }
                    Ok(0) | Err(_) => return End::Close,
                    Ok(_) if self.orphaned.load(Ordering::Relaxed) => {
                        while let Ok(Ok(1..)) = timeout(SILENCE, server.read(&mut bytes)).await {}
                        return End::Close;
                    }
                    Ok(length) => {
                        if let Some(end) = self.replied(mode, &bytes[..length], &mut client).await {
                            return end;
                        }
                    }
                },
            }
        }
    }

    async fn replied(&self, mode: Mode, bytes: &[u8], client: &mut WriteHalf<'_>) -> Option<End> {
        match mode {
            Mode::BlackHole | Mode::LoseResponseAndHang => {
                self.hit();
                self.spoiled.store(true, Ordering::Relaxed);
                return None;
            }
            Mode::LoseResponse => {
                self.hit();
                return Some(End::Close);
            }
            Mode::Reset | Mode::Refuse => {
                self.hit();
                return Some(End::Reset);
            }
            Mode::CutResponse { after } => {
                let rest = after.saturating_sub(self.answered.load(Ordering::Relaxed));
                if bytes.len() >= rest {
                    self.hit();
                    let _gone = client.write_all(&bytes[..rest]).await;
                    return Some(End::Close);
                }
            }
            _ => self.slowed(mode, bytes.len()).await,
        }
        self.answered.fetch_add(bytes.len(), Ordering::Relaxed);
        let heard = client.write_all(bytes).await.is_ok();
        (!heard && !mode.hides_the_client()).then_some(End::Close)
    }

    async fn slowed(&self, mode: Mode, length: usize) {
        let pause = match mode {
            Mode::Delay { each_way, jitter } => each_way + jitter.mul_f64(self.share()),
            Mode::Throttle { bytes_per_second } => {
                Duration::from_secs_f64(length as f64 / bytes_per_second.max(1) as f64)
            }
            _ => return,
        };
        self.hit();
        sleep(pause).await;
    }

    /// From 0 to 1.
    fn share(&self) -> f64 {
        let step =
            |seed: u64| seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = self.chance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| Some(step(seed)));
        (drawn.unwrap_or_default() >> 40) as f64 / (1u64 << 24) as f64
    }
}
