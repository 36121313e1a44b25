//! What every change of stock has in common: one write transaction, a reference, who and when, and an
//! answer that a retry with the same `Idempotency-Key` gets again.

use cloudware_sdk::{
    clock::{self, Timestamp},
    http::{Problem, Request, Response, Status},
    params,
    sql::{self, Transaction},
};
use serde::Serialize;

use crate::{
    fields::{Fields, is_from_page},
    rules,
    sequence::{Kind, next_reference},
};

/// How long the answer to an idempotent request is kept. Clients retry for minutes; a scanner that was
/// off line comes back within days.
const ANSWERS_KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// How many old answers a request removes at most, so that none pays for many.
const ANSWERS_REMOVED_MAX: i64 = 20;

/// Who does what, and how a retry is told from a new request.
pub struct Operation {
    kind: Kind,
    actor: String,
    note: Option<String>,
    key: Option<String>,
    is_from_page: bool,
    prefix: String,
}

/// What a movement is stamped with.
pub struct Stamp {
    /// The kind of the movement.
    pub kind: Kind,
    /// The reference of the operation.
    pub reference: String,
    /// Who did it.
    pub actor: String,
    /// A remark.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The answer to an operation: what it did, with its reference and time.
#[derive(Serialize)]
struct Answer<'a, A> {
    reference: &'a str,
    #[serde(flatten)]
    operation: A,
    at: String,
}

impl Operation {
    /// Reads what all operations have: `actor`, `note` and the key, which a header or a form gives.
    pub fn read(kind: Kind, request: &Request, fields: &mut Fields) -> Self {
        let from_form = fields.text_if_any("idempotency_key", rules::idempotency_key);
        let from_header = request.header("idempotency-key");
        let from_header = from_header.and_then(|key| match rules::idempotency_key(&key) {
            Ok(key) => Some(key),
            Err(message) => {
                fields.refuse("Idempotency-Key", message);
                None
            }
        });
        Self {
            kind,
            actor: fields
                .text_if_any("actor", rules::actor)
                .unwrap_or_else(|| "anonymous".into()),
            note: fields.text_if_any("note", rules::note),
            key: from_header.or(from_form),
            is_from_page: is_from_page(request),
            prefix: request.prefix(),
        }
    }

    /// Runs `work` in one write transaction, keeps its answer under the key, and answers `201`; or
    /// gives the answer that was kept before. `input` is what tells this request from another one.
    pub fn run<A: Serialize>(
        self,
        input: &impl Serialize,
        work: impl FnOnce(&Transaction, &Stamp) -> Result<A, Problem>,
    ) -> Result<Response, Problem> {
        let request = as_json(&(self.kind.word(), &self.actor, &self.note, input))?;
        if let Some(key) = &self.key
            && let Some(kept) = sql::query_one(KEPT, params![key])?
        {
            return self.replay(&kept, &request);
        }
        let stamp = Stamp {
            kind: self.kind,
            reference: next_reference(self.kind)?,
            actor: self.actor.clone(),
            note: self.note.clone(),
            at: clock::now(),
        };
        sql::transaction(|tx| {
            // Between the look above and this transaction the same request may have been answered.
            if let Some(key) = &self.key
                && let Some(kept) = tx.query_one(KEPT, params![key])?
            {
                return self.replay(&kept, &request);
            }
            let operation = work(tx, &stamp)?;
            #[cfg(feature = "extension-points")]
            crate::points::after_stock_moved::tell(tx, &stamp)?;
            let answer = as_json(&Answer {
                reference: &stamp.reference,
                operation,
                at: stamp.at.to_string(),
            })?;
            if let Some(key) = &self.key {
                keep(tx, key, (&request, &answer), stamp.at)?;
            }
            Ok(self.respond(answer))
        })
    }

    fn replay(&self, kept: &sql::Row, request: &str) -> Result<Response, Problem> {
        if kept.get::<String>("request")? != request {
            return Err(
                Problem::new(Status::UNPROCESSABLE_CONTENT, "idempotency-key-reused").with_detail(
                    "the Idempotency-Key was used for another request; use a new key for each request",
                ),
            );
        }
        let response = self.respond(kept.get("response")?);
        Ok(response.with_header("idempotency-replayed", "true"))
    }

    /// A browser is sent back to the page; a program gets the answer.
    fn respond(&self, answer: String) -> Response {
        if self.is_from_page {
            return Response::see_other(&format!("{}/", self.prefix));
        }
        Response::new(Status::CREATED)
            .with_header("content-type", "application/json")
            .with_body(answer)
    }
}

const KEPT: &str = "SELECT request, response FROM stock_requests WHERE key = ?";

fn keep(
    tx: &Transaction,
    key: &str,
    (request, answer): (&str, &str),
    at: Timestamp,
) -> Result<(), sql::Error> {
    let now = at.milliseconds();
    tx.execute(
        "DELETE FROM stock_requests WHERE key IN
           (SELECT key FROM stock_requests WHERE at < ? ORDER BY at LIMIT ?)",
        params![now - ANSWERS_KEPT_MS, ANSWERS_REMOVED_MAX],
    )?;
    tx.execute(
        "INSERT INTO stock_requests (key, request, response, at) VALUES (?, ?, ?, ?)",
        params![key, request, answer, now],
    )?;
    Ok(())
}

fn as_json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| {
        eprintln!("an answer has no JSON form: {error}");
        Problem::new(Status::INTERNAL_SERVER_ERROR, "internal")
    })
}
