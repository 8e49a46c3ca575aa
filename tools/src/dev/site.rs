//! Everything that the dev server serves: the page, the book, the routes.

use std::path::Path;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::map_response,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use shared::config::Env;
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

use super::book;

/// Where a clone keeps the reader's page.
const PUBLIC: &str = "public";

/// Names of files below [`PUBLIC`], each with its text.
macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../public/", $name)))),*]
    };
}

/// The page, for who runs the command elsewhere.
const PAGE: &[(&str, &str)] = texts![
    "chatkit.html",
    "embed.js",
    "index.html",
    "lectern.css",
    "lectern/account.js",
    "lectern/address.js",
    "lectern/answer.js",
    "lectern/api.js",
    "lectern/chatkit.js",
    "lectern/composer.js",
    "lectern/conversation.js",
    "lectern/copy.js",
    "lectern/dom.js",
    "lectern/events.js",
    "lectern/history.js",
    "lectern/host.js",
    "lectern/kept.js",
    "lectern/main.js",
    "lectern/markdown.js",
    "lectern/memory.js",
    "lectern/rating.js",
    "lectern/sources.js",
    "lectern/turns.js",
];

/// An open book. The page carries the same one.
pub(super) const ICON: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'>\
    <path fill='#9a3324' stroke='#fff' d='M12 6C9 4 5.5 3.5 2 4v14.5c3.5-.5 7 0 10 2 3-2 \
    6.5-2.5 10-2V4c-3.5-.5-7 0-10 2zm0 0v14.5'/></svg>";

/// Files and the book first, then the routes.
pub(super) fn site(book: &Path, env: &Env, routes: Router) -> Router {
    let site = Router::new()
        .route("/book", get(|| async { Redirect::temporary("/book/") }))
        .route("/book/", get(book::front))
        .route("/book/{*path}", get(book::page))
        .with_state(book::Folder::new(book))
        // Browsers ask for it beside every address that names no icon of its own.
        .route("/favicon.ico", get(icon));
    let site = if Path::new(PUBLIC).join("embed.js").is_file() {
        site.fallback_service(
            ServeDir::new(PUBLIC)
                .call_fallback_on_method_not_allowed(true)
                .fallback(routes),
        )
    } else {
        PAGE.iter().fold(site, kept).fallback_service(routes)
    };
    site.layer(map_response(never_stale)).layer(SetResponseHeaderLayer::if_not_present(
        header::CONTENT_SECURITY_POLICY,
        frames(env),
    ))
}

/// The route of a file that the command carries.
fn kept(site: Router, (name, text): &(&'static str, &'static str)) -> Router {
    let (name, text) = (*name, *text);
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    };
    let path = if name == "index.html" { "" } else { name };
    site.route(
        &format!("/{path}"),
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }),
    )
}

/// Whose pages may hold ours in a frame: whoever may call us, `ALLOWED_ORIGINS`.
fn frames(env: &Env) -> HeaderValue {
    let allowed = env.get("ALLOWED_ORIGINS").unwrap_or_default().replace(',', " ");
    HeaderValue::from_str(&format!("frame-ancestors 'self' {allowed}"))
        .unwrap_or(HeaderValue::from_static("frame-ancestors 'self'"))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    /// Names of the files below `folder`, sorted.
    fn names(folder: &Path, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap());
        let mut names: Vec<String> = entries
            .flat_map(|it| {
                let name = format!("{prefix}{}", it.file_name().to_str().unwrap());
                if it.path().is_dir() {
                    return names(&it.path(), &format!("{name}/"));
                }
                vec![name]
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_command_carries_the_whole_page() {
        let public = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public");
        let kept: Vec<_> = PAGE.iter().map(|(name, _)| *name).collect();
        assert_eq!(names(&public, ""), kept);
    }

    #[tokio::test]
    async fn the_page_is_served_without_a_clone_and_framed_by_whom_the_settings_name() {
        // The tests run in `tools`, which has no folder `public`.
        let env = Env::from([("ALLOWED_ORIGINS", "https://a.example,https://b.example")]);
        let site = site(Path::new("."), &env, Router::new());
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/lectern.css", "text/css; charset=utf-8"),
            ("/lectern/main.js", "text/javascript; charset=utf-8"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = site.clone().oneshot(request).await.unwrap();
            assert_eq!(response.headers()["content-type"], kind, "{path}");
            assert_eq!(
                response.headers()["content-security-policy"],
                "frame-ancestors 'self' https://a.example https://b.example"
            );
        }
    }
}
