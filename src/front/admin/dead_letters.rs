//! Accepted entries that a node refuses: shown, tried again, or dropped by an operator. A letter that is
//! dropped means a rebuild, unless the operator says in so many words that the node may differ.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chroma_ha_actors::wal::DeadLetters;
use chroma_ha_core::ids::{NodeId, Seq};
use chroma_ha_core::operator::{Closing, DeadLetter, Deed, LetterPage, LetterRow, LetterState, Letters};
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::Hindrance;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answered, Caller, Refusal, Worker, answer, commit, held, node, read};

/// Letters of one page.
const ROWS: u32 = 100;
const MOST_ROWS: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    state: Option<String>,
    /// A letter's id: what comes after it.
    before: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn list(worker: web::Data<Worker>, request: HttpRequest) -> HttpResponse {
    answer(page(&worker, request.query_string()).await)
}

async fn page(worker: &Worker, query: &str) -> Answered {
    let asked = web::Query::<Asked>::from_query(query)
        .map_err(|error| Refusal::Malformed(format!("accepted are state, before and limit: {error}")))?;
    let accepted = || Refusal::Malformed("state accepts open, resolved, discarded and all".to_owned());
    let state = LetterPage::state(asked.state.as_deref().unwrap_or("open")).ok_or_else(accepted)?;
    let before = asked.before.as_deref().map(place).transpose()?;
    let limit = asked.limit.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let rows = ask(worker, LetterPage { state, before, only: None, limit }).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| full).map(|row| row.id.clone());
    Ok(HttpResponse::Ok().json(json!({ "dead_letters": rows, "next_before": next })))
}

async fn ask(worker: &Worker, page: LetterPage) -> Result<Vec<LetterRow>, Refusal> {
    let asked = worker.shared.system.wal.send(DeadLetters { page }).await;
    Ok(asked.map_err(|_| Refusal::LogAway)??)
}

fn place(id: &str) -> Result<(String, Seq), Refusal> {
    let wrong = || Refusal::NotFound(format!("`{id}` is no dead letter's id; they look like replica-1:42"));
    DeadLetter::parse_id(id).ok_or_else(wrong)
}

/// An open letter that an operator may decide about now.
struct Case {
    node: NodeId,
    row: LetterRow,
}

impl Case {
    async fn of(worker: &Worker, id: &str) -> Result<Case, Refusal> {
        let (name, seq) = place(id)?;
        held(worker).await?;
        let node = node(worker, &name)?;
        let page =
            LetterPage { state: Some(LetterState::Open), before: None, only: Some((name, seq)), limit: 1 };
        let row = ask(worker, page).await?.pop();
        Ok(Case { node, row: row.ok_or(Refusal::Hindered(Hindrance::NoSuchLetter))? })
    }

    fn seq(&self) -> Seq {
        self.row.letter.seq
    }

    fn deed(&self, caller: Caller, action: &str, outcome: &str) -> Deed {
        Deed {
            actor: caller.to_string(),
            action: format!("dead-letter.{action}"),
            target: self.row.id.clone(),
            outcome: outcome.to_owned(),
            detail: format!("write {}: {}", self.row.letter.write_id, self.row.letter.reason),
        }
    }

    fn closed(&self, how: Closing) -> Change {
        let letters = Letters::Entry(self.seq());
        Change::LettersClosed { node: self.node.name(), letters, how }
    }

    fn answer(&self, state: &str, message: &str) -> HttpResponse {
        HttpResponse::Accepted().json(json!({ "id": self.row.id, "state": state, "message": message }))
    }
}

pub(super) async fn retry(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    id: web::Path<String>,
) -> HttpResponse {
    answer(try_again(&worker, caller.into_inner(), &id).await)
}

async fn try_again(worker: &Worker, caller: Caller, id: &str) -> Answered {
    let case = Case::of(worker, id).await?;
    let board = &worker.shared.system.board;
    board.sequencer().disputable(case.node, case.seq()).map_err(Refusal::Hindered)?;
    if !case.row.logged {
        // Without it the lane would pass on, and the node would lack it unnoticed.
        return Err(Refusal::Hindered(Hindrance::EntryGone));
    }
    commit(worker, case.deed(caller, "retry", "begun"), Vec::new()).await?;
    let begun = board.sequencer().retry_letter(case.node, case.seq());
    board.wake_all();
    begun.map_err(Refusal::Hindered)?;
    Ok(case.answer("open", "the entry is tried again; the letter is resolved once the node takes it"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Discard {
    /// The node may go on without the entry.
    #[serde(default)]
    accept_difference: bool,
}

pub(super) async fn discard(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    id: web::Path<String>,
    body: Bytes,
) -> HttpResponse {
    answer(drop_letter(&worker, caller.into_inner(), &id, &body).await)
}

async fn drop_letter(worker: &Worker, caller: Caller, id: &str, body: &Bytes) -> Answered {
    let asked: Discard = read(body)?;
    let case = Case::of(worker, id).await?;
    if asked.accept_difference {
        return accept_difference(worker, caller, &case).await;
    }
    let board = &worker.shared.system.board;
    if case.row.letter.collection.is_none() {
        return Err(Refusal::Hindered(Hindrance::CatalogEntry));
    }
    commit(worker, case.deed(caller, "discard", "rebuild"), vec![case.closed(Closing::Discarded)]).await?;
    board.sequencer().drop_letter(case.node, case.seq());
    board.wake_all();
    Ok(case.answer(
        "discarded",
        "the letter is dropped; the collection stays quarantined on this node until it is copied anew",
    ))
}

async fn accept_difference(worker: &Worker, caller: Caller, case: &Case) -> Answered {
    let board = &worker.shared.system.board;
    board.sequencer().disputable(case.node, case.seq()).map_err(Refusal::Hindered)?;
    let lifted = |collection| Change::Quarantined { node: case.node.name(), collection, reason: None };
    let mut changes = vec![case.closed(Closing::DifferenceAccepted)];
    changes.extend(case.row.letter.collection.map(lifted));
    commit(worker, case.deed(caller, "discard", "difference accepted"), changes).await?;
    let accepted = board.sequencer().accept_difference(case.node, case.seq());
    board.wake_all();
    accepted.map_err(Refusal::Hindered)?;
    Ok(case.answer(
        "discarded",
        "this node goes on without the entry: it differs from the others from now on, and reads there show it; POST /admin/rebuild ends that",
    ))
}

/// For `/wal/status`: what is open, without asking PostgreSQL.
pub(in crate::front) fn open(worker: &crate::front::Shared) -> Vec<Value> {
    let sequencer = worker.system.board.sequencer();
    let of_node = |node: NodeId| {
        let shown = move |(seq, stream): (Seq, chroma_ha_core::ids::Stream)| {
            let id = DeadLetter::id(&node.name(), seq);
            json!({ "id": id, "node": node.name(), "seq": seq, "stream": stream.to_string() })
        };
        sequencer.node(node).letters().into_iter().map(shown).collect::<Vec<_>>()
    };
    sequencer.node_ids().flat_map(of_node).collect()
}
