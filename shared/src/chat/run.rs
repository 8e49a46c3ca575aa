//! Coming back for an answer, and stopping one.

use axum::{
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{resume, stream};
use crate::{
    Error, Result,
    auth::Caller,
    conversations::Owner,
    http::{
        Call, Ctx, Route,
        extract::{Ids, Json, Params, Who},
    },
};

/// `GET /api/v1/chat/runs/{message_id}` and `POST /api/v1/chat/runs/{message_id}/stop`.
pub fn route() -> Route {
    Route::new()
        .route("/api/v1/chat/runs/{message_id}", get(follow))
        .route("/api/v1/chat/runs/{message_id}/stop", post(stop))
}

async fn follow(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
    headers: HeaderMap,
) -> Result<Response> {
    let owner = owner(&caller, &params)?;
    let id = id.ok_or(Error::NotFound("answer"))?;
    let told = match headers.get(LAST_EVENT_ID) {
        None => 0,
        Some(value) => {
            EventId::read(value.to_str().unwrap_or_default())
                .filter(|it| it.run.is_none_or(|run| run == id))
                .ok_or_else(|| {
                    Error::invalid(
                        LAST_EVENT_ID,
                        "is not the id of an event of this answer",
                    )
                })?
                .told
        }
    };
    Ok(stream::spelt(resume(&app, &call, &owner, id, told).await?))
}

async fn stop(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
) -> Result<Json<Value>> {
    let owner = owner(&caller, &params)?;
    let id = id.ok_or(Error::NotFound("answer"))?;
    let is_going = super::stop(&app, &call, &owner, id).await?;
    let status = if is_going { "stopping" } else { "ended" };
    Ok(Json(json!({ "message_id": id, "status": status })))
}

/// Whose answer it is; a trusted server says whose by `?user_id=`.
pub(super) fn owner(caller: &Caller, params: &Params) -> Result<Owner> {
    caller.acts_for(params.of(&["user_id"]))
}

/// The header in which a client says how far it has read.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// How far a client has read: `<message_id>:<n>`, or `<n>` alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventId {
    /// The answer, if the client named it.
    pub run: Option<Uuid>,
    /// The number of the last event that it has.
    pub told: usize,
}

impl EventId {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (run, told) = match text.split_once(':') {
            Some((run, told)) => (Some(Uuid::try_parse(run).ok()?), told),
            None => (None, text),
        };
        let told = told.parse::<u32>().ok()?.try_into().ok()?;
        Some(Self { run, told })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_a_number_with_or_without_its_answer() {
        let id = Uuid::from_u128(7);
        let read = |text: &str| EventId::read(text).map(|it| (it.run, it.told));
        assert_eq!(read("12"), Some((None, 12)));
        assert_eq!(read(&format!("{id}:3")), Some((Some(id), 3)));
        for text in ["", "x", "-1", ":", "x:1", "99999999999", &format!("{id}:")] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
