//! Which client reads an error: each protocol has its vendor's form.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Problem;
use crate::wire::openai;

/// A wait that is longer is no queue but a quota that is used up: a client that slept for it
/// would look hung.
const LONGEST_WAIT_S: u64 = 60;

/// The form of an error's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// RFC 9457 problem details: our own protocol.
    Problem,
    /// OpenAI's `{"error":{…}}`, from which its clients make their typed exceptions.
    OpenAi,
    /// `{"code","message","request_id"}`: the AI SDK shows a body as it is.
    Plain,
    /// The same with the words of ChatKit's own server; the page shows `message`.
    ChatKit,
    /// `{"detail","code","request_id"}`, and none but the statuses that the clients of an
    /// older backend know.
    Detail,
}

impl Shape {
    /// The form for what is at `path`, also if nothing is there.
    pub(super) fn at(path: &str) -> Self {
        let below = |root: &str| {
            let rest = path.strip_prefix(root);
            rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
        };
        if below("/v1") || below("/chat/completions") {
            Self::OpenAi
        } else if below("/api/chatkit") {
            Self::ChatKit
        } else if below("/api/chat") || below("/chat") {
            Self::Plain
        } else if below("/api/ai") {
            Self::Detail
        } else {
            Self::Problem
        }
    }

    /// The status that this client knows for it.
    pub(super) fn status(self, problem: &Problem) -> StatusCode {
        use StatusCode as S;
        match (self, problem.status) {
            (
                Self::OpenAi | Self::ChatKit | Self::Detail,
                S::UNPROCESSABLE_ENTITY | S::UNSUPPORTED_MEDIA_TYPE,
            ) => S::BAD_REQUEST,
            (Self::Detail, status) if status.is_server_error() => {
                S::INTERNAL_SERVER_ERROR
            }
            (_, status) => status,
        }
    }

    /// The media type and the body.
    pub(super) fn body(
        self,
        problem: &Problem,
        request_id: Uuid,
    ) -> (&'static str, Value) {
        match self {
            Self::Problem => ("application/problem+json", details(problem, request_id)),
            Self::OpenAi => ("application/json", openai_error(problem)),
            Self::Plain => ("application/json", plain(problem.code, problem, request_id)),
            Self::ChatKit => {
                let code = match self.status(problem) {
                    StatusCode::BAD_REQUEST => "invalid_request".to_owned(),
                    _ => problem.code.replace('-', "_"),
                };
                ("application/json", plain(&code, problem, request_id))
            }
            Self::Detail => (
                "application/json",
                json!({
                    "detail": problem.detail,
                    "code": problem.code,
                    "request_id": request_id,
                }),
            ),
        }
    }

    /// Whether this client must be told not to try again by itself, as it would.
    pub(super) fn is_final(self, problem: &Problem) -> bool {
        let misconfigured = problem.code == "misconfigured";
        self == Self::OpenAi && (misconfigured || is_used_up(problem))
    }
}

fn is_used_up(problem: &Problem) -> bool {
    problem.retry_after_s.is_some_and(|it| it > LONGEST_WAIT_S)
}

fn plain(code: &str, problem: &Problem, request_id: Uuid) -> Value {
    json!({ "code": code, "message": problem.detail, "request_id": request_id })
}

fn details(problem: &Problem, request_id: Uuid) -> Value {
    let mut body = json!({
        "type": "about:blank",
        "title": problem.status.canonical_reason(),
        "status": problem.status.as_u16(),
        "code": problem.code,
        "detail": problem.detail,
        "message": problem.detail,
        "request_id": request_id,
    });
    if !problem.errors.is_empty() {
        body["errors"] = json!(problem.errors);
    }
    body
}

/// OpenAI's own words where it has some, so that code written against them works.
fn openai_error(problem: &Problem) -> Value {
    let (kind, code) = match problem.status.as_u16() {
        401 => ("invalid_request_error", "invalid_api_key".to_owned()),
        429 if is_used_up(problem) => {
            ("insufficient_quota", "insufficient_quota".to_owned())
        }
        429 => ("rate_limit_error", "rate_limit_exceeded".to_owned()),
        status => {
            let ours =
                if status >= 500 { "server_error" } else { "invalid_request_error" };
            (ours, problem.code.replace('-', "_"))
        }
    };
    let param = problem.errors.first().map(|it| it.field.as_str());
    openai::error(&problem.detail, kind, param, &code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Error;

    #[test]
    fn every_protocol_has_its_paths() {
        for (path, shape) in [
            ("/v1/chat/completions", Shape::OpenAi),
            ("/v1/nothing", Shape::OpenAi),
            ("/v1", Shape::OpenAi),
            ("/chat/completions", Shape::OpenAi),
            ("/chat/completions/stream", Shape::OpenAi),
            ("/api/chat", Shape::Plain),
            ("/api/chat/7/stream", Shape::Plain),
            ("/chat", Shape::Plain),
            ("/api/ai/chat", Shape::Detail),
            ("/api/chatkit", Shape::ChatKit),
            ("/api/chats", Shape::Problem),
            ("/api/v1/chat", Shape::Problem),
            ("/v12", Shape::Problem),
            ("/", Shape::Problem),
        ] {
            assert_eq!(Shape::at(path), shape, "{path}");
        }
    }

    #[test]
    fn a_queue_is_waited_for_and_a_quota_is_not() {
        for (seconds, kind, last) in
            [(60, "rate_limit_error", false), (61, "insufficient_quota", true)]
        {
            let retry_after = Duration::from_secs(seconds);
            let problem = Problem::from(Error::TooMany { retry_after });
            let (_, body) = Shape::OpenAi.body(&problem, Uuid::nil());
            assert_eq!(body["error"]["type"], kind);
            assert_eq!(Shape::OpenAi.is_final(&problem), last);
            assert!(!Shape::Problem.is_final(&problem));
        }
    }
}
