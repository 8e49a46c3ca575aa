//! What happens to every request on every platform, before and after its route.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderValue, Uri, header, request::Parts, uri::PathAndQuery},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::{Call, Problem, Route, Tasks, cors, extract, shape::Shape, tasks};
use crate::{App, Error};

/// The platform's limit on a request, less what we need to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// Seconds an answer may take when `AGENT_TIMEOUT` is unset.
const AGENT_TIMEOUT_S: u64 = 30;

/// How long the platform lets a request run, put into the request by the platform's file.
#[derive(Clone, Copy)]
pub(super) struct PlatformDeadline(pub Instant);

/// `AGENT_TIMEOUT` cannot be read: the routes that ask for their [`Call`] are misconfigured.
#[derive(Clone)]
struct BadTimeout;

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.extensions.get::<BadTimeout>().is_some() {
            return Err(Error::Misconfigured("AGENT_TIMEOUT").into());
        }
        let missing = || Error::Internal("a route was called past the edge".to_owned());
        parts.extensions.get::<Self>().cloned().ok_or_else(|| missing().into())
    }
}

/// Gives routes their app and puts the whole edge around them.
///
/// The outer router matches nothing, so that the path can still be changed before the inner
/// one looks at it.
pub fn mount(routes: Route, app: &'static App) -> Router {
    let inner = routes
        .fallback(|| async { Problem::no_such_route() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(app)
        .layer(from_fn(guard))
        .layer(cors::layer(app.env()))
        .layer(from_fn(name));
    Router::new().fallback_service(inner).layer(from_fn_with_state(app, enter))
}

/// The outermost step: a plain path, an id, a deadline; afterwards one log line.
async fn enter(app: super::Ctx, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let internal: Vec<_> = request
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("x-vercel-internal-"))
        .cloned()
        .collect();
    for name in internal {
        request.headers_mut().remove(name);
    }
    *request.uri_mut() = without_trailing_slash(request.uri());

    let tasks = request.extensions().get::<Tasks>().cloned().unwrap_or_default();
    let request_id = Uuid::now_v7();
    let seconds: crate::Result<u64> = app.env().parse("AGENT_TIMEOUT", AGENT_TIMEOUT_S);
    if !matches!(seconds, Ok(1..)) {
        request.extensions_mut().insert(BadTimeout);
    }
    let deadline = deadline(seconds.unwrap_or(AGENT_TIMEOUT_S), &request, began);
    let call = Call { request_id, deadline, tasks };
    request.extensions_mut().insert(call.clone());

    let span = tracing::info_span!("request", %request_id);
    async move {
        let method = request.method().clone();
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        // A path as it was sent may hold anything, so only the route's own is logged.
        let route = response.extensions_mut().remove::<MatchedPath>();
        let path = route.as_ref().map_or("unknown", MatchedPath::as_str);
        let ms = began.elapsed().as_millis() as u64;
        tracing::info!(%method, path, status, ms, "answered");
        let id = HeaderValue::try_from(request_id.to_string()).expect("a UUID is ASCII");
        let headers = response.headers_mut();
        headers.insert("x-request-id", id);
        // Nearly every answer is somebody's own. A route that knows better says so.
        let private = HeaderValue::from_static("no-store");
        headers.entry(header::CACHE_CONTROL).or_insert(private);
        response.map(|body| tasks::hold(call.tasks, body))
    }
    .instrument(span)
    .await
}

/// Tells [`enter`] which route a request took; only the inner router knows.
async fn name(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(path);
    }
    response
}

/// Around the route: the whole body is there, a panic becomes a 500, an error takes the form
/// that its client reads and, when it is ours, one log line.
async fn guard(
    Extension(call): Extension<Call>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let shape = Shape::at(parts.uri.path());
    let read = tokio::time::timeout_at(call.deadline.into(), extract::whole(body)).await;
    let response = match read.unwrap_or_else(|_| Err(Problem::too_slow())) {
        Ok(bytes) => {
            let run = next.run(Request::from_parts(parts, Body::from(bytes)));
            AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
                Error::Internal("a handler panicked".to_owned()).into_response()
            })
        }
        Err(problem) => problem.into_response(),
    };
    Problem::render(response, shape, call.request_id)
}

/// The smaller of `seconds` and the platform's limit less [`FAREWELL`].
fn deadline(seconds: u64, request: &Request, began: Instant) -> Instant {
    // An hour is longer than any platform allows, and keeps the sum from overflowing.
    let ours = began + Duration::from_secs(seconds.min(3600));
    match request.extensions().get::<PlatformDeadline>() {
        Some(PlatformDeadline(theirs)) => {
            ours.min(theirs.checked_sub(FAREWELL).unwrap_or(began))
        }
        None => ours,
    }
}

/// The path and query alone (Lambda's URIs are absolute), without slashes at the path's end:
/// a redirect would make clients POST twice and drop their token.
fn without_trailing_slash(uri: &Uri) -> Uri {
    let path = uri.path().trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target).map_or_else(|_| uri.clone(), Uri::from)
}

#[cfg(test)]
mod tests {
    use super::without_trailing_slash;

    #[test]
    fn slashes_at_the_end_and_the_host_go_and_the_query_stays() {
        for (given, kept) in [
            ("https://host/api/v1/chat/?a=1", "/api/v1/chat?a=1"),
            ("/health//", "/health"),
            ("/", "/"),
            ("*", "*"),
        ] {
            assert_eq!(without_trailing_slash(&given.parse().unwrap()).to_string(), kept);
        }
    }
}
