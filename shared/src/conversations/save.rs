//! Saving an exchange that somebody else answered.

use axum::{
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Exchange, Owner, Status,
    fallback::Fallback,
    idempotency::{Ids, Key},
    store,
};
use crate::{
    App, Error, FieldError, Result,
    db::Pool,
    http::{
        Call, Ctx, Route,
        extract::{Json, Who},
    },
};

/// The longest question and the longest answer, in characters each.
const MAX_TEXT_CHARS: usize = 10_000;

/// `POST /api/v1/conversations/internal-save`.
pub fn route() -> Route {
    Route::new().route("/api/v1/conversations/internal-save", post(internal_save))
}

#[derive(Deserialize, Serialize)]
struct Body {
    user_id: String,
    query: String,
    response: String,
    conversation_id: Option<String>,
}

#[derive(Serialize)]
struct Saved {
    id: Uuid,
    user_id: String,
    conversation_id: Uuid,
    message: &'static str,
}

async fn internal_save(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Result<(StatusCode, Json<Saved>)> {
    // The caller's name for the user is repeated, whether or not Postgres could resolve it.
    let owner = caller.acts_for(Some(&body.user_id))?;
    let user_id = match &owner {
        Owner::User(id) => id.to_string(),
        Owner::Named(name) => name.clone(),
        Owner::Guest => return Err(Error::Unauthorized),
    };
    check(&body)?;
    let key = match headers.get("idempotency-key") {
        Some(header) => Some(Key::new(caller.name(), header.as_bytes(), &body)?),
        None => None,
    };
    let given = match &body.conversation_id {
        Some(id) => {
            Some(Uuid::try_parse(id).map_err(|_| Error::NotFound("conversation"))?)
        }
        None => None,
    };

    let first = key.as_ref().map_or_else(Ids::fresh, Key::ids);
    let mut exchange = exchange(&first, owner, given, body);
    let kept = call.within(keep(&app, key.as_ref(), &mut exchange, given)).await;
    if let Err(error) = kept {
        wait_in_fallback(&app, error, &exchange).await?;
    }
    let saved = Saved {
        id: exchange.id,
        user_id,
        conversation_id: exchange.conversation_id.unwrap_or(first.conversation_id),
        message: "Conversation saved successfully",
    };
    Ok((StatusCode::CREATED, Json(saved)))
}

/// Stores the exchange, once for all repeats of its key, under the ids of the first.
async fn keep(
    app: &App,
    key: Option<&Key>,
    exchange: &mut Exchange,
    given: Option<Uuid>,
) -> Result<()> {
    let db = app.db().await?;
    let Some(key) = key else { return store_in(db, exchange, given).await };

    let ids = key.claim(db).await?;
    exchange.id = ids.id;
    exchange.question_id = ids.question_id;
    exchange.conversation_id = given.or(Some(ids.conversation_id));
    if ids.done {
        return Ok(());
    }
    match store_in(db, exchange, given).await {
        Ok(()) => {
            // A key that stays open makes its repeat store the same ids again, which does
            // nothing: no reason to call a stored exchange a failure.
            note(key.finish(db, &ids).await);
            Ok(())
        }
        Err(error) => {
            if matches!(error, Error::NotFound(_) | Error::Unauthorized) {
                note(key.release(db).await);
            }
            Err(error)
        }
    }
}

/// What became of the key never changes the answer.
fn note(outcome: Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(cause = error.chain(), "an idempotency key was left as it was");
    }
}

/// A conversation that was named must exist and be the owner's: `save` alone would make it.
async fn store_in(db: &Pool, exchange: &Exchange, given: Option<Uuid>) -> Result<()> {
    if let Some(id) = given {
        store::exists(db, &exchange.owner, id).await?;
    }
    store::save(db, exchange, None).await?;
    Ok(())
}

/// While Postgres is away the exchange waits in `FALLBACK_STORAGE`, if there is one.
async fn wait_in_fallback(app: &App, error: Error, exchange: &Exchange) -> Result<()> {
    // Nothing else than Postgres can be late here.
    let away =
        matches!(error, Error::Unavailable { service: "database", .. } | Error::Timeout);
    if !away {
        return Err(error);
    }
    let Some(fallback) = Fallback::from_env(app.env())? else { return Err(error) };
    tracing::warn!(cause = error.chain(), "the exchange waits in the fallback");
    fallback.keep(exchange).await
}

fn exchange(ids: &Ids, owner: Owner, given: Option<Uuid>, body: Body) -> Exchange {
    let now = OffsetDateTime::now_utc();
    Exchange {
        client_id: None,
        replaces: None,
        id: ids.id,
        question_id: ids.question_id,
        owner,
        conversation_id: given.or(Some(ids.conversation_id)),
        question: body.query,
        written: None,
        answer: body.response,
        sources: json!([]),
        markers: json!([]),
        status: Status::Complete,
        asked_at: now,
        answered_at: now,
        first_token_ms: None,
        model: "external".into(),
        usage: json!({}),
        error_code: None,
        metadata: json!({ "via": "internal-save" }),
    }
}

/// Everything that is wrong with the texts at once.
fn check(body: &Body) -> Result<()> {
    let texts = [("query", &body.query), ("response", &body.response)];
    let refused: Vec<_> = texts
        .into_iter()
        .filter_map(|(field, text)| {
            Some(FieldError { field: field.into(), message: wrong_with(text)? })
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Error::Invalid(refused)) }
}

fn wrong_with(text: &str) -> Option<String> {
    if text.trim().is_empty() || text.chars().count() > MAX_TEXT_CHARS {
        Some(format!("must be 1 to {MAX_TEXT_CHARS} characters"))
    } else if text.contains('\0') {
        // Postgres stores every character but this one.
        Some("must not contain the character U+0000".into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_in_characters() {
        assert_eq!(wrong_with("a"), None);
        assert_eq!(wrong_with(&"ü".repeat(MAX_TEXT_CHARS)), None);
        for bad in ["", " \n", "a\0b", &"a".repeat(MAX_TEXT_CHARS + 1)] {
            assert!(wrong_with(bad).is_some());
        }
    }
}
