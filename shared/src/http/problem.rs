//! [`Error`] as the caller sees it. The only status codes, with those of `shape.rs`.

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::shape::Shape;
use crate::{Error, FieldError};

/// A refusal on its way to the caller. It travels as an extension of an empty response, and
/// the edge writes its body, where the request's id is known.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: String,
    pub(super) errors: Vec<FieldError>,
    pub(super) retry_after_s: Option<u64>,
    /// For the log, once, where the problem is rendered.
    cause: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, errors: vec![], retry_after_s: None, cause: None }
    }

    /// 404 for a path that is not ours.
    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing at this address.")
    }

    /// 405.
    pub(super) fn method_not_allowed() -> Self {
        let detail = "This address does not take this method.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    /// 408: the client's own delay, which the deadline for our work does not excuse.
    pub(super) fn too_slow() -> Self {
        let detail = "The body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", detail)
    }

    /// 413.
    pub(super) fn too_large(limit: usize) -> Self {
        let detail = format!("The body is larger than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// 415.
    pub(super) fn not_json() -> Self {
        let detail = "Send the body as application/json.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
    }

    /// Writes the body of a response that carries a problem, in the client's form; others
    /// pass.
    pub(super) fn render(
        mut response: Response,
        shape: Shape,
        request_id: Uuid,
    ) -> Response {
        let Some(problem) = response.extensions_mut().remove::<Self>() else {
            return response;
        };
        if let Some(cause) = &problem.cause {
            tracing::error!(code = problem.code, cause, "request failed");
        }
        let (kind, body) = shape.body(&problem, request_id);
        let (mut parts, _) = response.into_parts();
        let (written, body) = Json(body).into_response().into_parts();
        parts.headers.extend(written.headers);
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        parts.status = shape.status(&problem);
        if shape.is_final(&problem) {
            let no = HeaderValue::from_static("false");
            parts.headers.insert("x-should-retry", no);
        }
        // axum has set the length of the empty body that the problem travelled in.
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, body)
    }
}

impl From<Error> for Problem {
    fn from(err: Error) -> Self {
        use StatusCode as S;
        let detail = err.to_string();
        let status = match &err {
            Error::Malformed(_) => S::BAD_REQUEST,
            Error::Invalid(_) => S::UNPROCESSABLE_ENTITY,
            Error::Unauthorized | Error::WrongCredentials => S::UNAUTHORIZED,
            Error::Forbidden => S::FORBIDDEN,
            Error::NotFound(_) => S::NOT_FOUND,
            Error::EmailTaken | Error::KeyReused => S::CONFLICT,
            Error::TooMany { .. } => S::TOO_MANY_REQUESTS,
            Error::Unavailable { .. } | Error::Misconfigured(_) => S::SERVICE_UNAVAILABLE,
            Error::Timeout => S::GATEWAY_TIMEOUT,
            Error::Internal(_) => S::INTERNAL_SERVER_ERROR,
        };
        // What a 5xx says to the caller is ours alone; the inner words are for the log.
        let detail = match &err {
            Error::Internal(_) => "Something went wrong on our side.".to_owned(),
            // Whoever waits for a whole answer hears what a stream would have said.
            Error::Unavailable { service: "llm", .. } => {
                "The answer broke off. Please ask again.".to_owned()
            }
            Error::Misconfigured(_) => {
                "This service is not set up completely.".to_owned()
            }
            _ => detail,
        };
        let mut problem = Self::new(status, err.code(), detail);
        problem.cause = status.is_server_error().then(|| err.chain());
        match err {
            Error::Invalid(fields) => problem.errors = fields,
            Error::TooMany { retry_after } => {
                problem.retry_after_s = Some(retry_after.as_secs().max(1));
            }
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response.map(|_| Body::empty())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
