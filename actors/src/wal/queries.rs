//! What clients and operators ask of the log's store. Answered with or without the lease; nothing is changed.

use std::sync::Arc;

use actix::prelude::*;
use chroma_ha_core::idempotency::Claimed;
use chroma_ha_core::operator::{AuditPage, AuditRow, LetterPage, LetterRow, WritePage, WriteRow};
use chroma_ha_core::port::StoreError;

use super::WalActor;

/// One write by its id.
#[derive(Message)]
#[rtype(result = "Result<Option<WriteRow>, StoreError>")]
pub struct Find {
    pub write_id: String,
}

/// Writes by state.
#[derive(Message)]
#[rtype(result = "Result<Vec<WriteRow>, StoreError>")]
pub struct Writes {
    pub page: WritePage,
}

/// What the client of a write sent.
#[derive(Message)]
#[rtype(result = "Result<Option<Vec<u8>>, StoreError>")]
pub struct Body {
    pub write_id: String,
}

/// What is in the log under a client's key.
#[derive(Message)]
#[rtype(result = "Result<Option<Claimed>, StoreError>")]
pub struct Recall {
    pub key: [u8; 32],
}

/// What operators did.
#[derive(Message)]
#[rtype(result = "Result<Vec<AuditRow>, StoreError>")]
pub struct Audit {
    pub page: AuditPage,
}

/// Accepted entries that a node refuses.
#[derive(Message)]
#[rtype(result = "Result<Vec<LetterRow>, StoreError>")]
pub struct DeadLetters {
    pub page: LetterPage,
}

/// Where the holder of the lease can be reached, if it said so.
#[derive(Message)]
#[rtype(result = "Result<Option<String>, StoreError>")]
pub struct Holder;

impl Handler<Find> for WalActor {
    type Result = ResponseFuture<Result<Option<WriteRow>, StoreError>>;

    fn handle(&mut self, find: Find, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.find(find.write_id).await })
    }
}

impl Handler<Writes> for WalActor {
    type Result = ResponseFuture<Result<Vec<WriteRow>, StoreError>>;

    fn handle(&mut self, Writes { page }: Writes, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.writes(page).await })
    }
}

impl Handler<Body> for WalActor {
    type Result = ResponseFuture<Result<Option<Vec<u8>>, StoreError>>;

    fn handle(&mut self, Body { write_id }: Body, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.body(write_id).await })
    }
}

impl Handler<Recall> for WalActor {
    type Result = ResponseFuture<Result<Option<Claimed>, StoreError>>;

    fn handle(&mut self, Recall { key }: Recall, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.recall(key).await })
    }
}

impl Handler<Audit> for WalActor {
    type Result = ResponseFuture<Result<Vec<AuditRow>, StoreError>>;

    fn handle(&mut self, Audit { page }: Audit, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.audit(page).await })
    }
}

impl Handler<Holder> for WalActor {
    type Result = ResponseFuture<Result<Option<String>, StoreError>>;

    fn handle(&mut self, _: Holder, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.holder().await })
    }
}

impl Handler<DeadLetters> for WalActor {
    type Result = ResponseFuture<Result<Vec<LetterRow>, StoreError>>;

    fn handle(&mut self, DeadLetters { page }: DeadLetters, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.letters(page).await })
    }
}
