//! How one answer is spelt for a client.

pub mod openai;
pub mod simple;
pub mod ui;

use crate::Error;

/// What a reader is told when an answer breaks off; never an inner text.
fn sentence(err: &Error) -> &'static str {
    match err {
        Error::Timeout => "The answer took too long and broke off. Please ask again.",
        Error::Unavailable { .. } => "The answer broke off. Please ask again.",
        _ => "Something went wrong on our side.",
    }
}
