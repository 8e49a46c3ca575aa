//! What happens while an answer is made, in words of no protocol.
//!
//! Events are also what the run log keeps, so that another instance can tell the same story
//! again: a new member must have a default.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{cite::Marker, sources::Source};
use crate::{Error, llm::Usage};

/// What happens while an answer is made. Exactly one of `Done` and `Failed` comes, and last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The book is being searched; only said where the stream opens before the search.
    Searching,
    /// The passages are there and a model is asked.
    Asking(Asking),
    /// More text. All of them together are the answer's content, to the byte.
    Text(Text),
    /// The whole answer, saved.
    Done(Box<Answer>),
    /// It broke off. What there was is kept.
    Failed(Failure),
}

impl Event {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

/// Who is asked, and what the question alone costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asking {
    /// The model's name for the log.
    pub model: String,
    /// The prompt, estimated, and what condensing a follow-up has cost.
    pub spent: Usage,
}

/// A piece of the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The words, with `[n]` where a source is cited. A marker is never cut in two.
    pub text: String,
    /// The markers in it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cited: Vec<Cited>,
}

/// A marker with what it points to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cited {
    /// Where it stands in the whole answer.
    pub marker: Marker,
    /// What it cites: the same source wherever its number stands.
    pub source: Source,
}

/// A whole answer, in the contract's words.
#[expect(clippy::struct_excessive_bools, reason = "they are members of the wire")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The text, with `[n]` where a source is cited.
    pub content: String,
    /// The answer's id, also of its log row.
    pub message_id: Uuid,
    /// When it was finished.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// Where it is kept; absent for guests, and when only the log keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Uuid>,
    /// What was cited, and nothing else, by number.
    pub sources: Vec<Source>,
    /// Where in the text. The run log has them in the pieces of text.
    #[serde(skip)]
    pub markers: Vec<Marker>,
    /// The book does not answer this.
    pub refused: bool,
    /// No citation survived checking.
    pub unsupported: bool,
    /// The reader stopped it: this is what there was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The model had no more room for it (`LLM_MAX_TOKENS`): it may end within a word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What was down: `qdrant`, `embeddings`, `reranker`, `llm`, `database`; or used up:
    /// `daily_answers`.
    pub degraded: Vec<String>,
    /// Whether it is in the history; absent when there is none that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<bool>,
    /// The version of the book that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book_version: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// Who wrote it: the vendor's name of the model, or `extractive`.
    #[serde(skip)]
    pub model: String,
}

/// Why an answer broke off, as far as a reader is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It took too long.
    Timeout,
    /// A service that we lean on failed.
    Unavailable,
    /// The instance that made it is gone.
    Interrupted,
    /// A setting is missing or wrong.
    Misconfigured,
    /// A bug of ours.
    Internal,
}

impl Failure {
    /// The stable word, the same as an error before the stream has.
    pub fn code(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Interrupted => "interrupted",
            Self::Misconfigured => "misconfigured",
            Self::Internal => "internal",
        }
    }

    /// Whether asking again may help.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Interrupted)
    }

    /// What the reader is told; never an inner text.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Timeout => "The answer took too long and broke off. Please ask again.",
            Self::Unavailable | Self::Interrupted => {
                "The answer broke off. Please ask again."
            }
            Self::Misconfigured | Self::Internal => "Something went wrong on our side.",
        }
    }
}

impl From<&Error> for Failure {
    fn from(err: &Error) -> Self {
        match err {
            Error::Timeout => Self::Timeout,
            Error::Unavailable { .. } | Error::TooMany { .. } => Self::Unavailable,
            Error::Misconfigured(_) => Self::Misconfigured,
            _ => Self::Internal,
        }
    }
}

/// For a caller who waits for the whole answer: the cause is in the log already.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout,
            Failure::Unavailable | Failure::Interrupted => {
                Self::unavailable("llm", "an answer broke off")
            }
            Failure::Misconfigured => Self::Misconfigured("of an answer"),
            Failure::Internal => Self::Internal("an answer broke off".to_owned()),
        }
    }
}
