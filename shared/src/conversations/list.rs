//! The list of a reader's conversations, and searching in them.

use axum::routing::get;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    history::{self, After, ListQuery, Page},
    own,
};
use crate::{
    Error, Result,
    http::{
        Call, Ctx, Route,
        extract::{Json, Params, Who},
    },
};

/// Conversations on a page, when nobody says how many.
const USUAL_LIMIT: u32 = 20;
/// The most on a page: as many as are kept.
pub(crate) const MAX_LIMIT: u32 = super::KEPT_PER_USER as u32;
/// Characters of a search.
const MAX_SEARCH_CHARS: usize = 200;

/// `GET /api/v1/conversations`, by its older name also `GET /conversations`.
pub fn route() -> Route {
    Route::new()
        .route("/api/v1/conversations", get(list))
        .route("/conversations", get(list))
}

async fn list(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
) -> Result<Json<Page>> {
    let owner = own::owner(&caller, &params, None)?;
    let query = query(&params)?;
    let db = app.db().await?;
    call.within(history::list(db, &owner, &query)).await.map(Json)
}

/// `limit`, `after` with `at`, and `q`.
fn query(params: &Params) -> Result<ListQuery> {
    let limit = params.of(&["limit"]).map_or(Ok(USUAL_LIMIT), str::parse);
    let Some(limit) = limit.ok().filter(|it| (1..=MAX_LIMIT).contains(it)) else {
        return Err(Error::invalid("limit", format!("must be 1 to {MAX_LIMIT}")));
    };
    let at = match params.of(&["at"]) {
        Some(text) => Some(OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            Error::invalid("at", "must be a time such as 2026-01-01T00:00:00Z")
        })?),
        None => None,
    };
    let after = match params.of(&["after"]) {
        Some(text) => Some(After { id: own::or_not_found(text.parse().ok())?, at }),
        None => None,
    };
    let search = params.of(&["q"]).unwrap_or_default();
    if search.chars().count() > MAX_SEARCH_CHARS || search.contains('\0') {
        return Err(Error::invalid(
            "q",
            format!("must be at most {MAX_SEARCH_CHARS} characters, and none U+0000"),
        ));
    }
    Ok(ListQuery { limit, after, search: search.to_owned() })
}
