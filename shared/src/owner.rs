//! Whom a request is about, once its caller's rights were checked; and so whose an exchange is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// `users.id`, from a token.
    User(Uuid),
    /// A user that a trusted server named: our id or a subject of its own; made if unknown.
    Named(String),
    /// A guest, or a server that named nobody: nothing is kept but the log row.
    Guest,
}
