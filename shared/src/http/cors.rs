//! Which web pages may call us. The code answers on every host, never a front door.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Env;

/// What OpenAI's client sends along from a browser.
const OF_OPENAI: [&str; 11] = [
    "openai-organization",
    "openai-project",
    "x-stainless-arch",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
];

/// `ALLOWED_ORIGINS`: comma-separated, exact, or `*` for every page; none when unset.
/// Tokens travel in a header and never in a cookie, so credentials are never allowed.
pub(super) fn layer(env: &Env) -> CorsLayer {
    let named: Vec<HeaderValue> = env
        .get("ALLOWED_ORIGINS")
        .unwrap_or_default()
        .split(',')
        .map(|origin| origin.trim().trim_end_matches('/'))
        .filter(|origin| !origin.is_empty())
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    let origins = if named.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(named)
    };
    let exposed = [
        "x-conversation-id",
        "x-message-id",
        "x-request-id",
        "x-should-retry",
        "retry-after",
        "content-disposition",
    ];
    let by_name = ["chatkit-frame-instance-id", "idempotency-key", "last-event-id"];
    let by_name = by_name.into_iter().chain(OF_OPENAI);
    let mut allowed = vec![
        header::ACCEPT_LANGUAGE,
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::USER_AGENT,
    ];
    allowed.extend(by_name.map(HeaderName::from_static));
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(allowed)
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(Duration::from_hours(1))
}
