//! The answer as it is written.

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
    routing::post,
};
use futures_util::stream;

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
    let payloads = stream::unfold(started.events, |mut events| async {
        let event = events.recv().await?;
        Some((simple::event(&event), events))
    });
    let mut response = sse::response(payloads);
    let id =
        HeaderValue::try_from(started.message_id.to_string()).expect("a UUID is ASCII");
    response.headers_mut().insert(HeaderName::from_static("x-message-id"), id);
    Ok(response)
}
