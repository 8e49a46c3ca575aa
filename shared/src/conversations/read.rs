//! One conversation with its messages.

use axum::routing::get;

use super::{
    history::{self, Whole},
    own,
};
use crate::{
    Result,
    http::{
        Call, Ctx, Route,
        extract::{Ids, Json, Params, Who},
    },
};

/// `GET /api/v1/conversations/{id}`, by its older name also `GET /conversations/{id}`.
pub fn route() -> Route {
    Route::new()
        .route("/api/v1/conversations/{id}", get(read))
        .route("/conversations/{id}", get(read))
}

async fn read(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
) -> Result<Json<Whole>> {
    let owner = own::owner(&caller, &params, None)?;
    let id = own::known(id)?;
    let whole = async { history::read(app.db().await?, &owner, id).await };
    call.within(whole).await.map(Json)
}
