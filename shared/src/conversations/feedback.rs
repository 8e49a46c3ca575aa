//! What a reader thinks of an answer.

use axum::{http::StatusCode, routing::post};
use serde::Deserialize;

use super::{
    history::{self, Feedback, FeedbackKind},
    own,
};
use crate::{
    Error, Result,
    http::{
        Call, Ctx, Route,
        extract::{Ids, Json, Params, Who},
    },
};

/// The longest reason, in characters.
const MAX_REASON_CHARS: usize = 1000;

/// `POST /api/v1/conversations/{id}/messages/{message_id}/feedback`.
pub fn route() -> Route {
    let path = "/api/v1/conversations/{id}/messages/{message_id}/feedback";
    Route::new().route(path, post(feedback))
}

#[derive(Deserialize)]
struct Body {
    /// `null` takes it back; leaving it out does not.
    #[serde(deserialize_with = "Option::deserialize")]
    kind: Option<FeedbackKind>,
    reason: Option<String>,
    user_id: Option<String>,
}

async fn feedback(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id, message_id]): Ids<2>,
    Json(body): Json<Body>,
) -> Result<StatusCode> {
    let owner = own::owner(&caller, &params, body.user_id.as_deref())?;
    let reason = reason(body.reason)?;
    let given = body.kind.map(|kind| Feedback { kind, reason });
    let message = Error::NotFound("message");
    let Some((id, message_id)) = id.zip(message_id) else { return Err(message) };
    let db = app.db().await?;
    let messages = [message_id];
    let put = history::put_feedback(db, &owner, id, &messages, given.as_ref());
    call.within(put).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reason(given: Option<String>) -> Result<Option<String>> {
    let Some(text) = given else { return Ok(None) };
    if text.chars().count() > MAX_REASON_CHARS || text.contains('\0') {
        return Err(Error::invalid(
            "reason",
            format!("must be at most {MAX_REASON_CHARS} characters, and none U+0000"),
        ));
    }
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
