//! What can go wrong, said once, without a word of HTTP.

use std::{error::Error as StdError, fmt::Write, time::Duration};

/// The house's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Add a variant only when some caller would act on it differently. `Display` is what a
/// caller may read; causes stay in the chain, for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is no JSON, or no text at all.
    #[error("{0}")]
    Malformed(String),
    /// Fields that we cannot accept. The words are the caller's to read and repeat nothing
    /// that they sent.
    #[error("{}", describe(.0))]
    Invalid(Vec<FieldError>),
    /// Nobody, or somebody with a token or key that does not hold.
    #[error("Sign in first: this needs a valid token.")]
    Unauthorized,
    /// The same answer for an unknown email, a wrong and an over-long password.
    #[error("The email or the password is wrong.")]
    WrongCredentials,
    /// A known caller who names somebody else.
    #[error("This token does not belong to that user.")]
    Forbidden,
    /// It does not exist, or is not the caller's: the same answer.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// The unique constraint on the email spoke; nothing else may become this.
    #[error("An account with this email already exists.")]
    EmailTaken,
    /// An `Idempotency-Key` came back with another body.
    #[error("This idempotency key was used for another request.")]
    KeyReused,
    /// A limit of ours or of a store; it passes by itself.
    #[error("Too many requests. Try again in {} seconds.", retry_after.as_secs())]
    TooMany {
        /// When a new attempt makes sense.
        retry_after: Duration,
    },
    /// A service that we lean on failed. Its words are for the log, never for the caller.
    #[error("{service} is unavailable.")]
    Unavailable {
        /// `database`, `qdrant`, `embeddings`, `reranker`, `llm` or `storage`.
        service: &'static str,
        /// What it said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The deadline passed.
    #[error("This took too long.")]
    Timeout,
    /// A setting that is missing or unreadable. The caller is not told which.
    #[error("setting {0} is missing or unreadable")]
    Misconfigured(&'static str),
    /// A bug of ours.
    #[error("{0}")]
    Internal(String),
}

/// One field that was refused, by its path in the body (`message.content`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The path of the field.
    pub field: String,
    /// What is wrong with it; never its value.
    pub message: String,
}

fn describe(fields: &[FieldError]) -> String {
    let parts: Vec<_> =
        fields.iter().map(|it| format!("{} {}", it.field, it.message)).collect();
    format!("{}.", parts.join("; "))
}

impl Error {
    /// One refused field: `Error::invalid("top_k", "must be 1 to 50")`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// A dependency failed; `source` goes to the log only.
    pub fn unavailable(
        service: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { service, source: source.into() }
    }

    /// The stable word for this kind of error, the same in every protocol.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::WrongCredentials => "wrong-credentials",
            Self::Forbidden => "forbidden",
            // OpenAI's clients know this one by a name of its own.
            Self::NotFound("model") => "model-not-found",
            Self::NotFound(_) => "not-found",
            Self::EmailTaken => "email-taken",
            Self::KeyReused => "idempotency-key-reused",
            Self::TooMany { .. } => "too-many-requests",
            Self::Unavailable { .. } => "unavailable",
            Self::Timeout => "timeout",
            Self::Misconfigured(_) => "misconfigured",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::Unavailable { .. } | Self::Timeout)
    }

    /// The whole chain of causes on one line, for the log.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(err) = cause {
            // Our own words end in a full stop, which a reader sees and a log does not need.
            line.truncate(line.trim_end_matches('.').len());
            write!(line, ": {err}").ok();
            cause = err.source();
        }
        line
    }
}
