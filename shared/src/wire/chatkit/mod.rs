//! OpenAI's ChatKit: threads, their items, and the events of one turn.
//!
//! Its readers validate strictly, so a member without a value is left out. Its page draws a
//! mark of its own for each source, so our markers are taken out of the text.

mod items;
mod part;

use std::mem;

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::items::{Page, answer, question, thread};
use self::{
    items::item,
    part::{Part, Update},
};
use crate::chat::{Event, Failure};

/// One turn, as events. Nothing follows the last, not even `[DONE]`.
pub struct Turn {
    thread: Uuid,
    answer: Uuid,
    began: OffsetDateTime,
    is_open: bool,
    part: Part,
}

impl Turn {
    /// Of the thread and its next answer, by their ids.
    pub fn new(thread: Uuid, answer: Uuid, began: OffsetDateTime) -> Self {
        let (is_open, part) = <_>::default();
        Self { thread, answer, began, is_open, part }
    }

    /// What is said before the answer: the thread if it is new, and the question unless it was
    /// there before.
    pub fn opening(&self, is_new: bool, question: Option<Value>) -> Vec<String> {
        let created = is_new.then(|| self.thread("thread.created", ""));
        let asked = question.map(|it| json!({ "type": "thread.item.done", "item": it }));
        let options = json!({
            "type": "stream_options",
            "stream_options": { "allow_cancel": true },
        });
        let opening = created.into_iter().chain(asked).chain([options]);
        opening.map(|it| it.to_string()).collect()
    }

    /// What becomes of one event.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        let mut told = Vec::new();
        match event {
            Event::Searching => told.push(json!({
                "type": "progress_update",
                "icon": "search",
                "text": "Searching the book…",
            })),
            Event::Asking(_) => {}
            Event::Text(text) => {
                let updates = self.part.push(text);
                self.write(updates, &mut told);
            }
            Event::Done(answer) => {
                self.close(&mut told);
                told.extend(notice(&answer.degraded));
            }
            Event::Failed(failure) => {
                self.close(&mut told);
                told.push(error(*failure));
            }
        }
        told.into_iter().map(|it| it.to_string()).collect()
    }

    /// The thread has a name.
    pub fn titled(&self, title: &str) -> String {
        self.thread("thread.updated", title).to_string()
    }

    fn write(&mut self, updates: Vec<Update>, told: &mut Vec<Value>) {
        for update in updates {
            if !mem::replace(&mut self.is_open, true) {
                told.push(self.item("thread.item.added", &json!([])));
                let empty = json!({ "content": Part::default() });
                told.push(self.updated("added", empty));
            }
            told.push(match update {
                Update::Delta(delta) => {
                    self.updated("text_delta", json!({ "delta": delta }))
                }
                Update::Annotation(index, annotation) => self.updated(
                    "annotation_added",
                    json!({ "annotation_index": index, "annotation": annotation }),
                ),
            });
        }
    }

    /// The item as it is kept, broken off or not.
    fn close(&mut self, told: &mut Vec<Value>) {
        let rest = self.part.finish();
        self.write(rest, told);
        if !self.part.is_blank() {
            told.push(self.updated("done", json!({ "content": self.part })));
            told.push(self.item("thread.item.done", &json!([self.part])));
        }
    }

    fn thread(&self, kind: &str, title: &str) -> Value {
        let thread = thread(self.thread, title, self.began, &Page::default());
        json!({ "type": kind, "thread": thread })
    }

    fn item(&self, kind: &str, content: &Value) -> Value {
        let mut item = item(self.thread, self.answer, self.began, "assistant_message");
        item["content"] = content.clone();
        json!({ "type": kind, "item": item })
    }

    fn updated(&self, kind: &str, mut update: Value) -> Value {
        update["type"] = format!("assistant_message.content_part.{kind}").into();
        update["content_index"] = 0.into();
        json!({ "type": "thread.item.updated", "item_id": self.answer, "update": update })
    }
}

/// What a reader should know of an answer that is less than it could be.
fn notice(degraded: &[String]) -> Option<Value> {
    let is_down = |what: &str| degraded.iter().any(|it| it == what);
    let model = is_down("llm").then_some(
        "The model is away, so these are passages of the book as they stand there.",
    );
    let database = is_down("database")
        .then_some("The history is away: this answer may be missing there later.");
    let message: Vec<_> = model.into_iter().chain(database).collect();
    (!message.is_empty()).then(
        || json!({ "type": "notice", "level": "warning", "message": message.join(" ") }),
    )
}

/// Its reader knows two codes: one with words for the reader, one without.
fn error(failure: Failure) -> Value {
    if failure.is_retryable() {
        json!({
            "type": "error",
            "code": "custom",
            "message": failure.sentence(),
            "allow_retry": true,
        })
    } else {
        json!({ "type": "error", "code": "stream.error", "allow_retry": true })
    }
}
