//! Everything that the dev server serves: the page, the book, the routes.

use std::path::Path;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::map_response,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower_http::services::ServeDir;

use super::book;

/// Where a clone keeps the reader's page.
const PUBLIC: &str = "public";

/// The page, for who runs the command elsewhere.
const PAGE: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("../../../public/index.html")),
    ("/lectern.css", "text/css", include_str!("../../../public/lectern.css")),
    ("/lectern.js", "text/javascript", include_str!("../../../public/lectern.js")),
];

/// An open book. The page carries the same one.
pub(super) const ICON: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'>\
    <path fill='#9a3324' stroke='#fff' d='M12 6C9 4 5.5 3.5 2 4v14.5c3.5-.5 7 0 10 2 3-2 \
    6.5-2.5 10-2V4c-3.5-.5-7 0-10 2zm0 0v14.5'/></svg>";

/// Files and the book first, then the routes.
pub(super) fn site(book: &Path, routes: Router) -> Router {
    let site = Router::new()
        .route("/book", get(|| async { Redirect::temporary("/book/") }))
        .route("/book/", get(book::front))
        .route("/book/{*path}", get(book::page))
        .with_state(book::Folder::new(book))
        // Browsers ask for it beside every address that names no icon of its own.
        .route("/favicon.ico", get(icon));
    let site = if Path::new(PUBLIC).join("lectern.js").is_file() {
        site.fallback_service(
            ServeDir::new(PUBLIC)
                .call_fallback_on_method_not_allowed(true)
                .fallback(routes),
        )
    } else {
        let kept = |site: Router, (path, kind, text)| {
            site.route(
                path,
                get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }),
            )
        };
        PAGE.into_iter().fold(site, kept).fallback_service(routes)
    };
    site.layer(map_response(never_stale))
}

/// Without this a browser may keep a file for a tenth of its age, and an edit stays unseen.
async fn never_stale(mut response: Response) -> Response {
    if response.headers().contains_key(header::LAST_MODIFIED) {
        let fresh = HeaderValue::from_static("no-cache");
        response.headers_mut().insert(header::CACHE_CONTROL, fresh);
    }
    response
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON)
}
