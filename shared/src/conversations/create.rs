//! A conversation before its first question.

use axum::{http::StatusCode, routing::post};
use serde::Deserialize;

use super::{
    history::{self, Conversation},
    own, title,
};
use crate::{
    Error, Result,
    http::{
        Call, Ctx, Route,
        extract::{Json, Params, Who},
    },
};

/// The longest id that a client makes, in characters.
const MAX_CLIENT_ID_CHARS: usize = 128;

/// `POST /api/v1/conversations`, by its older name also `POST /conversations`.
pub fn route() -> Route {
    Route::new()
        .route("/api/v1/conversations", post(create))
        .route("/conversations", post(create))
}

#[derive(Default, Deserialize)]
struct Body {
    title: Option<String>,
    client_id: Option<String>,
    user_id: Option<String>,
}

async fn create(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    body: Option<Json<Body>>,
) -> Result<(StatusCode, Json<Conversation>)> {
    let body = body.map(|Json(body)| body).unwrap_or_default();
    let owner = own::owner(&caller, &params, body.user_id.as_deref())?;
    let title = title::optional(body.title.as_deref())?;
    let client_id = body.client_id.as_deref().map(client_id).transpose()?;
    let db = app.db().await?;
    let made = call.within(history::create(db, &owner, &title, client_id)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

fn client_id(given: &str) -> Result<&str> {
    let length = given.chars().count();
    if given.trim().is_empty()
        || length > MAX_CLIENT_ID_CHARS
        || given.chars().any(char::is_control)
    {
        return Err(Error::invalid(
            "client_id",
            format!(
                "must be 1 to {MAX_CLIENT_ID_CHARS} characters, none a control character"
            ),
        ));
    }
    Ok(given)
}
