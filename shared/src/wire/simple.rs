//! Our own protocol: one JSON answer, or the same answer as `data:` events.

use serde::Serialize;
use serde_json::{Value, json};

use super::sentence;
use crate::chat::{Answer, Event};

/// The answer of `POST /api/v1/chat`.
pub fn response(answer: &Answer) -> Value {
    json!({ "response": Whole { answer, status: "success" } })
}

/// One event of `POST /api/v1/chat/stream`.
pub fn event(event: &Event) -> String {
    match event {
        Event::Delta(text) => json!({ "content": text, "status": "partial" }).to_string(),
        Event::Done(answer) => json!(Whole { answer, status: "success" }).to_string(),
        Event::Failed(err) => json!({
            "content": sentence(err),
            "status": "error",
            "code": err.code(),
            "retryable": err.is_retryable(),
        })
        .to_string(),
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    status: &'static str,
}
