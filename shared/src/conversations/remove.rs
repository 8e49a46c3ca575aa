//! Forgetting a conversation with its messages.

use axum::{http::StatusCode, routing::delete};

use super::{history, own};
use crate::{
    Result,
    http::{
        Call, Ctx, Route,
        extract::{Ids, Params, Who},
    },
};

/// `DELETE /api/v1/conversations/{id}`, by its older name also `DELETE /conversations/{id}`.
pub fn route() -> Route {
    Route::new()
        .route("/api/v1/conversations/{id}", delete(remove))
        .route("/conversations/{id}", delete(remove))
}

async fn remove(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
) -> Result<StatusCode> {
    let owner = own::owner(&caller, &params, None)?;
    let id = own::or_not_found(id)?;
    let db = app.db().await?;
    call.within(history::remove(db, &owner, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
