//! The answer as it is written.

use axum::{http::HeaderMap, response::Response, routing::post};
use futures_util::{StreamExt, future::ready};

use super::{
    Started,
    ask::Body,
    resume,
    run::{self, EventId, LAST_EVENT_ID},
    start,
};
use crate::{
    Error, Result,
    http::{
        Call, Ctx, Route,
        extract::{Json, Who},
        sse::{self, Frame},
    },
    wire::simple,
};

/// `POST /api/v1/chat/stream`, and the way back to an answer.
pub fn route() -> Route {
    Route::new().route("/api/v1/chat/stream", post(stream_answer)).merge(run::route())
}

async fn stream_answer(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Result<Response> {
    let ask = body.into_ask(&caller)?;
    // A client that lost its connection and sends its question again means the same answer.
    if let Some(EventId { run: Some(run), told }) = last_event_id(&headers) {
        match resume(&app, &call, &ask.owner, run, told).await {
            Err(Error::NotFound(_)) => {}
            resumed => return resumed.map(spelt),
        }
    }
    start(&app, &call, ask).await.map(spelt)
}

fn last_event_id(headers: &HeaderMap) -> Option<EventId> {
    EventId::read(headers.get(LAST_EVENT_ID)?.to_str().ok()?)
}

/// The answer's events, with ids by which a client finds its way back to them. The last one has
/// none: whoever comes back is told how the answer ended in any case.
pub(super) fn spelt(started: Started) -> Response {
    let Started { message_id: id, conversation, is_recorded, .. } = started;
    let frames = started.into_numbered().filter_map(move |(n, event)| {
        let is_place = is_recorded && !event.is_last();
        let place = is_place.then(|| format!("{id}:{n}"));
        ready(simple::event(&event).map(|data| Frame { id: place, data }))
    });
    let response = sse::named(id, sse::response(frames));
    match conversation {
        Some(conversation) => sse::kept_in(conversation, response),
        None => response,
    }
}
