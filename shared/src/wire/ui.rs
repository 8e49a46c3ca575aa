//! The Vercel AI SDK's UI message stream, version 1, for its versions 6 and 7; and the two
//! events of an older chat.
//!
//! The SDK reads strictly: a part that it does not know, or a null, kills the message. So only
//! parts that both versions know are sent, and members that have no value are left out.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::placed;
use crate::chat::{Answer, Event, Source};

/// The header that names the protocol.
pub const HEADER: (&str, &str) = ("x-vercel-ai-ui-message-stream", "v1");

/// The one text of a message.
const TEXT: &str = "answer";

/// One message, as parts. The payloads end with `[DONE]`, after an error too.
#[derive(Default)]
pub struct Parts {
    text_is_open: bool,
}

impl Parts {
    /// The parts before the answer.
    pub fn opening(message_id: Uuid, conversation: Option<Uuid>) -> Vec<String> {
        let mut start = json!({ "type": "start", "messageId": message_id });
        if let Some(conversation) = conversation {
            start["messageMetadata"] = json!({ "conversationId": conversation });
        }
        vec![start.to_string(), plain("start-step")]
    }

    /// The parts of one event.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        let mut parts = Vec::new();
        match event {
            Event::Searching => parts.push(status("retrieving")),
            Event::Asking(_) => parts.push(status("answering")),
            Event::Text(it) => {
                if !self.text_is_open {
                    self.text_is_open = true;
                    parts.push(json!({ "type": "text-start", "id": TEXT }).to_string());
                }
                let delta = json!({ "type": "text-delta", "id": TEXT, "delta": it.text });
                parts.push(delta.to_string());
            }
            Event::Done(answer) => {
                parts.extend(self.closing(&citations(answer)));
                parts.extend(answer.sources.iter().map(|it| source(it).to_string()));
                parts.push(plain("finish-step"));
                let metadata = Metadata::of(answer);
                let last = if answer.stopped {
                    // The SDK ends the message here, without an error and without metadata.
                    let told = json!({ "type": "message-metadata", "messageMetadata": metadata });
                    parts.push(told.to_string());
                    json!({ "type": "abort", "reason": "stopped by the reader" })
                } else {
                    json!({
                        "type": "finish",
                        "finishReason": if answer.truncated { "length" } else { "stop" },
                        "messageMetadata": metadata,
                    })
                };
                parts.push(last.to_string());
                parts.push("[DONE]".to_owned());
            }
            Event::Failed(failure) => {
                parts.extend(self.closing(&[]));
                let error = json!({ "type": "error", "errorText": failure.sentence() });
                parts.push(error.to_string());
                parts.push("[DONE]".to_owned());
            }
        }
        parts
    }

    fn closing(&self, citations: &[Value]) -> Option<String> {
        let mut end = json!({ "type": "text-end", "id": TEXT });
        if !citations.is_empty() {
            end["citations"] = json!(citations);
        }
        self.text_is_open.then(|| end.to_string())
    }
}

/// The event of `POST /chat`: pieces of text, then the answer's id.
pub fn chunk(event: &Event) -> Option<String> {
    let chunk = match event {
        Event::Searching | Event::Asking(_) => return None,
        Event::Text(it) => json!({ "type": "chunk", "content": it.text }),
        Event::Done(answer) => {
            let mut done = json!(Metadata::of(answer));
            done["type"] = "done".into();
            done["message_id"] = json!(answer.message_id);
            done["sources"] = json!(answer.sources);
            done
        }
        Event::Failed(failure) => json!({
            "type": "error",
            "message": failure.sentence(),
            "code": failure.code(),
        }),
    };
    Some(chunk.to_string())
}

/// What we are doing, for a client that shows it; it does not become part of the message.
fn status(phase: &str) -> String {
    json!({
        "type": "data-status",
        "id": "status",
        "data": { "phase": phase },
        "transient": true,
    })
    .to_string()
}

fn plain(kind: &str) -> String {
    json!({ "type": kind }).to_string()
}

/// Where each source is cited, for the seventh version; the sixth passes over it. The offsets
/// take in the marker, half-open, and count UTF-16 units, as JavaScript does:
/// `text.slice(startIndex, endIndex)` is `[n]`.
fn citations(answer: &Answer) -> Vec<Value> {
    let placed = placed(answer, |text| text.encode_utf16().count());
    let cited = placed.map(|(source, at)| {
        let mut place = json!({
            "type": "source",
            "id": source.n.to_string(),
            "title": source.title,
        });
        if let Some(url) = &source.url {
            place["sourceType"] = "url".into();
            place["url"] = json!(url);
        } else {
            place["sourceType"] = "document".into();
            place["mediaType"] = "text/plain".into();
        }
        json!({
            "source": place,
            "startIndex": at.start,
            "endIndex": at.end,
            "citedText": source.quote,
        })
    });
    cited.collect()
}

/// A source with an address is a link; one without is a document.
fn source(source: &Source) -> Value {
    let id = source.n.to_string();
    let ours = json!({ "lectern": source });
    match &source.url {
        Some(url) => json!({
            "type": "source-url",
            "sourceId": id,
            "url": url,
            "title": source.title,
            "providerMetadata": ours,
        }),
        None => json!({
            "type": "source-document",
            "sourceId": id,
            "mediaType": "text/plain",
            "title": source.title,
            "providerMetadata": ours,
        }),
    }
}

/// What becomes `message.metadata`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Uuid>,
    usage: Value,
    degraded: &'a [String],
    refused: bool,
    unsupported: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    book_version: Option<&'a str>,
}

impl<'a> Metadata<'a> {
    fn of(answer: &'a Answer) -> Self {
        let usage = answer.usage;
        Self {
            conversation_id: answer.conversation_id,
            usage: json!({
                "inputTokens": usage.input_tokens,
                "outputTokens": usage.output_tokens,
                "totalTokens": usage.input_tokens.saturating_add(usage.output_tokens),
                "estimated": usage.estimated,
            }),
            degraded: &answer.degraded,
            refused: answer.refused,
            unsupported: answer.unsupported,
            stopped: answer.stopped,
            saved: answer.saved,
            book_version: answer.book_version.as_deref(),
        }
    }
}
