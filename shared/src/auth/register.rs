//! Making an account.

use axum::{http::StatusCode, routing::post};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    email,
    password::{self, Cost},
    users,
};
use crate::{
    Error, FieldError, Result,
    http::{Call, Ctx, Route, extract::Json},
};

/// `POST /api/v1/auth/register`.
pub fn route() -> Route {
    Route::new().route("/api/v1/auth/register", post(register))
}

#[derive(Deserialize)]
struct Body {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct Registered {
    id: Uuid,
    email: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

async fn register(
    app: Ctx,
    call: Call,
    Json(body): Json<Body>,
) -> Result<(StatusCode, Json<Registered>)> {
    let email = check(&body)?;
    let db = app.db().await?;
    let hash = password::hash(body.password, Cost::from_env(app.env())?).await?;
    let id = Uuid::now_v7();
    let created_at = call.within(users::create(db, id, &email, &hash)).await?;
    Ok((StatusCode::CREATED, Json(Registered { id, email, created_at })))
}

/// The address to store, or everything that is wrong with the two fields at once.
fn check(body: &Body) -> Result<String> {
    let mut refused = Vec::new();
    let email = email::normalise(&body.email);
    if email.is_none() {
        let message = "must be an email address".into();
        refused.push(FieldError { field: "email".into(), message });
    }
    refused.extend(password::check(&body.password).err());
    match email {
        Some(email) if refused.is_empty() => Ok(email),
        _ => Err(Error::Invalid(refused)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_are_told_at_once_and_neither_is_repeated() {
        let body = Body { email: "no address".into(), password: "short".into() };
        let refused = check(&body).unwrap_err();
        insta::assert_snapshot!(
            refused,
            @"email must be an email address; password must be at least 8 characters."
        );
    }
}
