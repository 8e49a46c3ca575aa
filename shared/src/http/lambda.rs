//! AWS Lambda: the Runtime API through `lambda_http`, always as a response stream.

use std::{
    convert::Infallible,
    time::{Instant, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Uri, uri::PathAndQuery},
    response::Response,
};
use lambda_http::{RequestExt, service_fn};
use tower::ServiceExt;

use super::{Exit, edge::PlatformDeadline, nodelay};
use crate::config::Env;

/// Takes invocations one after the other until the sandbox ends.
pub(super) async fn run(router: Router, env: &Env) -> Exit {
    let api = nodelay::lambda_api(env);
    let service = service_fn(move |event: lambda_http::Request| {
        nodelay::peers(api);
        answer(router.clone(), event)
    });
    lambda_http::run_with_streaming_response(service).await
}

/// The body's end waits for the request's tasks (see `http::tasks`): right after it the
/// process is frozen.
async fn answer(
    router: Router,
    event: lambda_http::Request,
) -> Result<Response, Infallible> {
    let deadline = event.lambda_context_ref().and_then(|it| local_time(it.deadline()));
    let uri = without_stage(&event);
    let (mut parts, body) = event.into_parts();
    parts.uri = uri;
    if let Some(deadline) = deadline {
        parts.extensions.insert(PlatformDeadline(deadline));
    }
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    router.oneshot(Request::from_parts(parts, body)).await
}

/// A REST API's stage (`/Prod`) is put before the path by `lambda_http`; the event's own path
/// never has it.
fn without_stage(event: &lambda_http::Request) -> Uri {
    let path = event.raw_http_path();
    let target = match event.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target).map_or_else(|_| event.uri().clone(), Uri::from)
}

/// The platform tells the deadline in wall-clock time. `None` for one that has passed before
/// the work began, and so is none: `cargo lambda watch` always says ten minutes after 1970.
fn local_time(deadline: SystemTime) -> Option<Instant> {
    let left = deadline.duration_since(SystemTime::now()).ok()?;
    Instant::now().checked_add(left)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_that_has_passed_is_none() {
        assert_eq!(local_time(SystemTime::UNIX_EPOCH + Duration::from_mins(10)), None);
        let soon = SystemTime::now() + Duration::from_mins(1);
        assert!(local_time(soon).is_some_and(|it| it > Instant::now()));
    }
}
