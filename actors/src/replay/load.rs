//! A page of the log, read for the lanes that are behind. It says nothing of what is on the page.

use std::time::Duration;

use chroma_ha_core::ids::Stream;
use chroma_ha_core::port::Page;
use tracing::warn;

use super::apply::Delivery;
use crate::guard::Watched;

/// Before a page is read again that could not be read.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads, and tells the sequencer.
pub(super) async fn load(
    delivery: &Delivery,
    watched: &Watched,
    stream: Option<Stream>,
    page: Page,
    life: u64,
) {
    let mut open = Open { delivery, stream, life, closed: false };
    let (board, node) = (&delivery.board, delivery.node);
    match delivery.log.page(page).await {
        Ok(pages) => {
            let (entries, through) = (pages.entries, pages.complete_through);
            let mut sequencer = board.sequencer();
            match stream {
                None => sequencer.feed(node, life, page.from, entries, through),
                Some(stream) => sequencer.loaded(node, life, stream, page.from, entries, through),
            }
            open.closed = true;
        }
        Err(error) => {
            warn!(%node, %error, "reading the log failed");
            watched.error(error);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A load that ends without its page, by a panic or a dropped future too, is made again.
struct Open<'a> {
    delivery: &'a Delivery,
    stream: Option<Stream>,
    life: u64,
    closed: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let (board, node) = (&self.delivery.board, self.delivery.node);
        if !self.closed {
            board.sequencer().load_failed(node, self.life, self.stream);
        }
        board.wake(node);
    }
}
