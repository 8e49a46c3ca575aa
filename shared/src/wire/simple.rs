//! Our own protocol: one JSON answer, or the same answer as `data:` events.

use serde::Serialize;
use serde_json::{Value, json};

use crate::chat::{Answer, Event};

/// The answer of `POST /api/v1/chat`.
pub fn response(answer: &Answer) -> Value {
    json!({ "response": Whole { answer, status: "success" } })
}

/// One event of `POST /api/v1/chat/stream`; nothing is said of the search.
pub fn event(event: &Event) -> Option<String> {
    let event = match event {
        Event::Searching | Event::Asking(_) => return None,
        Event::Text(it) => json!({ "content": it.text, "status": "partial" }),
        Event::Done(answer) => json!(Whole { answer, status: "success" }),
        Event::Failed(failure) => json!({
            "content": failure.sentence(),
            "status": "error",
            "code": failure.code(),
            "retryable": failure.is_retryable(),
        }),
    };
    Some(event.to_string())
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    status: &'static str,
}
