//! What the API is, for machines and for people. `build.rs` makes all of it.

use axum::{
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

use super::Route;

/// Every route, described: an `OpenAPI` 3.1 document.
pub const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
/// The page, as far as the document that it carries, and the rest of it.
const PAGE: [&str; 2] = [
    include_str!(concat!(env!("OUT_DIR"), "/page_head.html")),
    include_str!(concat!(env!("OUT_DIR"), "/page_tail.html")),
];
/// The page may run its own script and style, and load nothing.
const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/page_policy.txt"));

/// `GET /openapi.json` and `GET /docs`.
pub fn route() -> Route {
    Route::new().route("/openapi.json", get(document)).route("/docs", get(page))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// One answer that needs no other: it works below any path, and a saved copy works too.
async fn page() -> impl IntoResponse {
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    let [head, tail] = PAGE;
    (headers, [head, DOCUMENT, tail].concat())
}
