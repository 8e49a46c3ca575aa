//! A reader's own history in the tables `conversations`, `messages` and `feedback`.

mod change;
mod read;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, serde::rfc3339};
use uuid::Uuid;

pub use self::{
    change::{create, put_feedback, remove, rename},
    read::{After, ListQuery, Page, first_title, list, read},
};
use super::{Exchange, Role, title};

/// A conversation as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// `conversations.id`.
    pub id: Uuid,
    /// The first question's first words, or the reader's own; empty before both.
    pub title: String,
    /// When it began.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Its last activity, to the microsecond: what lists and retention go by.
    #[serde(with = "rfc3339")]
    pub last_message_at: OffsetDateTime,
    /// Questions and answers together.
    pub message_count: i64,
    /// Whether the title is only the question that waits for a first whole answer, and no
    /// name that anybody gave it.
    #[serde(skip)]
    pub is_untitled: bool,
}

/// A conversation with everything that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FullConversation {
    /// What lists show.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Oldest first.
    pub messages: Vec<Message>,
}

impl FullConversation {
    /// A conversation whose first exchange is on its way.
    fn new(id: Uuid, first: &Exchange) -> Self {
        let conversation = Conversation {
            id,
            title: title::of_question(&first.question),
            created_at: first.asked_at,
            last_message_at: first.asked_at,
            message_count: 0,
            is_untitled: true,
        };
        Self { conversation, messages: Vec::new() }
    }

    /// The same with an exchange that is on its way, unless it has just been kept.
    fn with(mut self, running: Exchange) -> Self {
        if self.messages.iter().any(|it| it.id == running.id) {
            return self;
        }
        let question = Message {
            id: running.question_id,
            role: Role::User,
            content: running.question,
            written: running.written,
            markers: Value::Null,
            sources: json!([]),
            created_at: running.asked_at,
            status: "complete".to_owned(),
            feedback: None,
        };
        let answer = Message {
            id: running.id,
            role: Role::Assistant,
            content: running.answer,
            written: None,
            markers: running.markers,
            sources: running.sources,
            status: "running".to_owned(),
            ..question.clone()
        };
        let replaced = |it: &Message| Some(it.id) == running.replaces;
        match self.messages.iter().position(replaced) {
            // It is asked once more, …
            Some(at) if self.messages[at].id == question.id => {
                self.messages.truncate(at + 1);
            }
            // … in other words, or is new.
            at => {
                self.messages.truncate(at.unwrap_or(self.messages.len()));
                self.messages.push(question);
            }
        }
        self.messages.push(answer);
        let count = self.messages.len().try_into().unwrap_or(i64::MAX);
        self.conversation.message_count = count;
        self
    }
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `messages.id`.
    pub id: Uuid,
    /// Who said it.
    pub role: Role,
    /// The text.
    pub content: String,
    /// Of a question: the same as its client wrote it.
    #[serde(skip)]
    pub written: Option<Value>,
    /// Of an answer: where it cites its sources, `[{"n","at"}]`.
    #[serde(skip)]
    pub markers: Value,
    /// `sources` as in the contract; empty for a question.
    pub sources: Value,
    /// When it was said.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// `complete`, `interrupted` or `stopped`; `running` while it is being made.
    pub status: String,
    /// What the reader thinks of it.
    pub feedback: Option<Feedback>,
}

/// What a reader thinks of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feedback {
    /// Thumbs up or down.
    pub kind: FeedbackKind,
    /// The reader's words.
    pub reason: Option<String>,
}

/// Thumbs up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackKind {
    /// Up.
    Positive,
    /// Down.
    Negative,
}

impl FeedbackKind {
    fn word(self) -> &'static str {
        if self == Self::Positive { "positive" } else { "negative" }
    }
}
