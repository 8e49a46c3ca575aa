//! The whole answer at once.

use axum::routing::post;
use serde_json::Value;

use super::{Event, ask::Body, start};
use crate::{
    Error, Result,
    http::{
        Call, Ctx, Route,
        extract::{Json, Who},
    },
    wire::simple,
};

/// `POST /api/v1/chat`.
pub fn route() -> Route {
    Route::new().route("/api/v1/chat", post(send))
}

async fn send(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    Json(body): Json<Body>,
) -> Result<Json<Value>> {
    let mut started = start(&app, &call, body.into_ask(&caller)?).await?;
    while let Some(event) = started.events.recv().await {
        match event {
            Event::Delta(_) => {}
            Event::Done(answer) => return Ok(Json(simple::response(&answer))),
            Event::Failed(err) => return Err(err),
        }
    }
    Err(Error::Internal("an answer ended without its last event".to_owned()))
}
