//! Another title, which is no activity.

use axum::routing::patch;
use serde::Deserialize;

use super::{
    history::{self, Conversation},
    own, title,
};
use crate::{
    Result,
    http::{
        Call, Ctx, Route,
        extract::{Ids, Json, Params, Who},
    },
};

/// `PATCH /api/v1/conversations/{id}`.
pub fn route() -> Route {
    Route::new().route("/api/v1/conversations/{id}", patch(rename))
}

#[derive(Deserialize)]
pub(super) struct Body {
    pub title: String,
    pub user_id: Option<String>,
}

async fn rename(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
    Json(body): Json<Body>,
) -> Result<Json<Conversation>> {
    let owner = own::owner(&caller, &params, body.user_id.as_deref())?;
    let title = title::given(&body.title)?;
    let id = own::or_not_found(id)?;
    let db = app.db().await?;
    call.within(history::rename(db, &owner, id, &title)).await.map(Json)
}
