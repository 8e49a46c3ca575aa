//! What was asked and answered, for as long as we keep it.

mod account;
pub mod aliases;
pub mod create;
pub mod export;
pub mod fallback;
pub mod feedback;
pub mod history;
mod idempotency;
pub mod list;
pub mod log;
mod nul;
pub mod own;
pub mod read;
pub mod remove;
pub mod rename;
pub mod runs;
pub mod save;
mod search;
pub mod store;
pub mod title;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

pub use crate::owner::Owner;

/// A user's older conversations give way to newer ones.
pub const KEPT_PER_USER: i64 = 50;

/// Which conversation an exchange belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thread {
    /// A new one.
    New,
    /// This one of the owner's.
    Known(Uuid),
    /// The one that its client calls so (or ours with this id); made if there is none.
    Called(String),
    /// None: only the log keeps the exchange.
    LogOnly,
}

impl From<Option<Uuid>> for Thread {
    fn from(conversation: Option<Uuid>) -> Self {
        conversation.map_or(Self::New, Self::Known)
    }
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The reader.
    User,
    /// We.
    Assistant,
}

impl Role {
    /// The role of this name, as `messages.role` has it, and as clients do.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "user" => Some(Self::User),
            "assistant" => Some(Self::Assistant),
            _ => None,
        }
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Whole.
    Complete,
    /// Cut short, with what there was.
    Interrupted,
    /// Stopped by the reader, with what there was.
    Stopped,
    /// No answer: only the log keeps it.
    Failed,
}

/// One question with its answer, complete enough to be stored later by `lectern replay`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// `UUIDv7` of the answer: its message's id and its log row's id. Storing the same id
    /// twice is storing it once.
    pub id: Uuid,
    /// `UUIDv7` of the question's message.
    pub question_id: Uuid,
    /// Whose it is.
    pub owner: Owner,
    /// The conversation, new or old; `None` for guests, and when only the log keeps it.
    pub conversation_id: Option<Uuid>,
    /// What its client calls the conversation. If the owner has one of this name when the
    /// exchange is stored, it is that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The question of this conversation that was asked once more (`question_id` too, unless it
    /// was edited): all that follows it goes. An answer that broke off replaces another such one
    /// alone, an empty one or an exchange that comes home late nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Uuid>,
    /// The reader's words.
    pub question: String,
    /// The same as the client wrote it, if that was more than words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Value>,
    /// The answer as it left the server.
    pub answer: String,
    /// `sources` as in the contract.
    pub sources: Value,
    /// Where the answer cites them: `[{"n","at"}]`, in bytes.
    #[serde(default)]
    pub markers: Value,
    /// How it ended.
    pub status: Status,
    /// When the question came.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// When the answer was finished.
    #[serde(with = "time::serde::rfc3339")]
    pub answered_at: OffsetDateTime,
    /// Milliseconds from the question to the first text.
    pub first_token_ms: Option<i32>,
    /// The model that wrote it (`extractive` for none).
    pub model: String,
    /// `usage` as in the contract.
    pub usage: Value,
    /// A stable word when it failed.
    pub error_code: Option<String>,
    /// What else the log keeps: `degraded`, `refused`, `reason`, `book_version`, …
    pub metadata: Value,
}
