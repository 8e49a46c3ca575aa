//! One conversation with its messages.

use axum::routing::get;

use super::{history::FullConversation, own::Opened};
use crate::http::{Route, extract::Json};

/// `GET /api/v1/conversations/{id}`, by its older name also `GET /conversations/{id}`.
pub fn route() -> Route {
    Route::new()
        .route("/api/v1/conversations/{id}", get(read))
        .route("/conversations/{id}", get(read))
}

async fn read(Opened { whole, .. }: Opened) -> Json<FullConversation> {
    Json(whole)
}
