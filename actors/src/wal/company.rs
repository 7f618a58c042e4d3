//! Who else works on this log, and which orders about nodes hold there? Asked for with every look after the lease.
//! It takes no lease and gives no order.

use std::sync::Arc;

use actix::prelude::*;
use chroma_ha_core::lease::Company;

use super::lease::Lease;
use super::{WalActor, broken};
use crate::board::Holder;

/// Who else is there, unless that could not be found out.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Looked {
    turn: u64,
    company: Option<Company>,
}

impl WalActor {
    pub(super) fn looked(&self) -> impl Future<Output = Looked> + use<> {
        let store = Arc::clone(&self.store);
        let turn = self.board.sequencer().heard.turn();
        let drained = self.board.carried_out();
        let company = self.watched.caught(async move { store.company(drained).await });
        async move { Looked { turn, company: company.await.unwrap_or_else(broken).ok() } }
    }
}

impl Handler<Looked> for WalActor {
    type Result = ();

    fn handle(&mut self, Looked { turn, company }: Looked, _: &mut Self::Context) {
        if self.lease == Lease::Released {
            self.tending = false;
        }
        let Some(company) = company else { return };
        let holder = company.holder.clone();
        self.board.meet(company, turn);
        if let (false, Some(peer)) = (self.lease.holds(), holder) {
            self.board.set_holder(Holder::Elsewhere(peer));
        }
    }
}
