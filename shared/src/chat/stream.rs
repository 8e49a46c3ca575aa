//! The answer as it is written.

use axum::{response::Response, routing::post};
use futures_util::{StreamExt, future::ready};

use super::{ask::Body, start};
use crate::{
    Result,
    http::{
        Call, Ctx, Route,
        extract::{Json, Who},
        sse,
    },
    wire::simple,
};

/// `POST /api/v1/chat/stream`.
pub fn route() -> Route {
    Route::new().route("/api/v1/chat/stream", post(stream_answer))
}

async fn stream_answer(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    Json(body): Json<Body>,
) -> Result<Response> {
    let started = start(&app, &call, body.into_ask(&caller)?).await?;
    let id = started.message_id;
    let payloads = started.into_events().filter_map(|event| ready(simple::event(&event)));
    Ok(sse::named(id, sse::response(payloads)))
}
