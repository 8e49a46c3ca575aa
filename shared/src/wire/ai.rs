//! An older backend's answers, as its clients and the servers before them read them.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::chat::{Answer, Source};

/// The answer of `POST /api/ai/chat` to a client that talks to us by itself.
pub fn response(answer: &Answer) -> Value {
    json!({
        "conversation_id": answer.conversation_id,
        "response": answer.content,
        "meta": Meta::of(answer),
    })
}

/// The same for a client behind a server.
pub fn proxied(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "conversation_id": answer.conversation_id,
        "ai_response": answer.content,
        // The words in which that backend counted tokens.
        "usage": {
            "prompt": usage.input_tokens,
            "completion": usage.output_tokens,
            "total": usage.input_tokens.saturating_add(usage.output_tokens),
            "estimated": usage.estimated,
        },
        "meta": Meta::of(answer),
    })
}

/// The answer of `POST /api/ai/start-conversation`, which no model wrote.
pub fn greeting(conversation: Uuid, text: &str) -> Value {
    json!({
        "conversation_id": conversation,
        "ai_response": text,
        "usage": {},
        "meta": { "model": "none" },
    })
}

/// Beside the model, what there is to know about an answer and that backend had no name for.
#[derive(Serialize)]
struct Meta<'a> {
    model: &'a str,
    message_id: Uuid,
    sources: &'a [Source],
    refused: bool,
    unsupported: bool,
    degraded: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<bool>,
}

impl<'a> Meta<'a> {
    fn of(answer: &'a Answer) -> Self {
        Self {
            model: &answer.model,
            message_id: answer.message_id,
            sources: &answer.sources,
            refused: answer.refused,
            unsupported: answer.unsupported,
            degraded: &answer.degraded,
            saved: answer.saved,
        }
    }
}
