//! OpenAI's chat completions: one JSON answer, or the same answer as chunks.
//!
//! What OpenAI has no member for travels in a member of our own, `lectern`, which clients that
//! do not know it pass over.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::placed;
use crate::chat::{Answer, Event, Source};

/// The one model that there is: the book.
pub const MODEL: &str = "book";

/// The whole answer of `POST /v1/chat/completions`. `created`: Unix seconds.
pub fn completion(answer: &Answer, created: i64) -> Value {
    json!({
        "id": id(answer.message_id),
        "object": "chat.completion",
        "created": created,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": answer.content,
                "refusal": null,
                "annotations": annotations(answer),
            },
            "logprobs": null,
            "finish_reason": finish_reason(answer),
        }],
        "usage": usage(answer),
        "lectern": Ours::of(answer),
    })
}

/// One answer as chunks. The payloads end with `[DONE]`, or with an error and without it.
pub struct Chunks {
    id: String,
    created: i64,
    with_usage: bool,
}

impl Chunks {
    /// For the answer `message_id`; `with_usage`: the caller asked for
    /// `stream_options.include_usage`.
    pub fn new(message_id: Uuid, created: i64, with_usage: bool) -> Self {
        Self { id: id(message_id), created, with_usage }
    }

    /// The first chunk: who speaks.
    pub fn opening(&self) -> String {
        let delta = json!({ "role": "assistant", "content": "", "refusal": null });
        self.choice(&delta, None).to_string()
    }

    /// The chunks of one event.
    pub fn event(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Searching | Event::Asking(_) => Vec::new(),
            Event::Text(it) => {
                vec![self.choice(&json!({ "content": it.text }), None).to_string()]
            }
            Event::Done(answer) => self.ending(answer),
            Event::Failed(it) => {
                vec![error(it.sentence(), "server_error", None, it.code()).to_string()]
            }
        }
    }

    fn ending(&self, answer: &Answer) -> Vec<String> {
        let mut payloads = Vec::new();
        let annotations = annotations(answer);
        if !annotations.is_empty() {
            let delta = json!({ "annotations": annotations });
            payloads.push(self.choice(&delta, None).to_string());
        }
        let mut last = self.choice(&json!({}), Some(finish_reason(answer)));
        last["lectern"] = json!(Ours::of(answer));
        payloads.push(last.to_string());
        if self.with_usage {
            payloads.push(self.chunk(&json!([]), &usage(answer)).to_string());
        }
        payloads.push("[DONE]".to_owned());
        payloads
    }

    fn choice(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        let choice = json!({
            "index": 0,
            "delta": delta,
            "logprobs": null,
            "finish_reason": finish_reason,
        });
        self.chunk(&json!([choice]), &Value::Null)
    }

    fn chunk(&self, choices: &Value, usage: &Value) -> Value {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": MODEL,
            "choices": choices,
        });
        if self.with_usage {
            chunk["usage"] = usage.clone();
        }
        chunk
    }
}

/// One element of `GET /v1/models`.
pub fn model() -> Value {
    // When this model was first served: a constant, because a model does not change its birth.
    json!({ "id": MODEL, "object": "model", "created": 1_767_225_600, "owned_by": "lectern" })
}

/// The error object, of a response or in the middle of a stream.
pub fn error(message: &str, kind: &str, param: Option<&str>, code: &str) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.truncated { "length" } else { "stop" }
}

fn id(message_id: Uuid) -> String {
    format!("chatcmpl-{message_id}")
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
    })
}

/// One citation for every marker whose source has an address. The offsets count code points
/// and take in the marker, half-open: `content[start:end]` is `[n]`.
fn annotations(answer: &Answer) -> Vec<Value> {
    let placed = placed(answer, |text| text.chars().count());
    let cited = placed.filter_map(|(source, place)| {
        let url = source.url.as_ref()?;
        Some(json!({
            "type": "url_citation",
            "url_citation": {
                "start_index": place.start,
                "end_index": place.end,
                "url": url,
                "title": source.title,
            },
        }))
    });
    cited.collect()
}

/// What else there is to know about an answer.
#[expect(clippy::struct_excessive_bools, reason = "they are members of the wire")]
#[derive(Serialize)]
struct Ours<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Uuid>,
    sources: &'a [Source],
    refused: bool,
    unsupported: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    degraded: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<bool>,
    usage_estimated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    book_version: Option<&'a str>,
}

impl<'a> Ours<'a> {
    fn of(answer: &'a Answer) -> Self {
        Self {
            conversation_id: answer.conversation_id,
            sources: &answer.sources,
            refused: answer.refused,
            unsupported: answer.unsupported,
            stopped: answer.stopped,
            degraded: &answer.degraded,
            saved: answer.saved,
            usage_estimated: answer.usage.estimated,
            book_version: answer.book_version.as_deref(),
        }
    }
}
