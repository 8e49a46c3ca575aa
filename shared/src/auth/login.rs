//! Signing in.

use axum::routing::post;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    email,
    password::{self, Cost},
    users,
};
use crate::{
    Error, Result,
    http::{Call, Ctx, Route, extract::Json},
};

/// `POST /api/v1/auth/login`.
pub fn route() -> Route {
    Route::new().route("/api/v1/auth/login", post(login))
}

#[derive(Deserialize)]
struct Body {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct SignedIn {
    user_id: Uuid,
    email: String,
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

async fn login(app: Ctx, call: Call, Json(body): Json<Body>) -> Result<Json<SignedIn>> {
    let signer = app.signer().await?;
    let cost = Cost::from_env(app.env())?;
    // Text that is no address belongs to no account; it gets the same work and answer.
    let account = match email::normalise(&body.email) {
        Some(email) => call.within(users::find_by_email(app.db().await?, &email)).await?,
        None => None,
    };
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = password::verify(body.password, hash, cost).await?;
    let account = account.filter(|_| right).ok_or(Error::WrongCredentials)?;

    let (access_token, expires_in) = signer.sign(account.id)?;
    Ok(Json(SignedIn {
        user_id: account.id,
        email: account.email,
        access_token,
        token_type: "Bearer",
        expires_in,
    }))
}
