//! The whole answer at once.

use axum::routing::post;
use serde_json::Value;

use super::{ask::Body, start};
use crate::{
    Result,
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
    let started = start(&app, &call, body.into_ask(&caller)?).await?;
    Ok(Json(simple::response(&*started.whole().await?)))
}
