//! What a client may send to have a question answered: two bodies, one meaning.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Error, Result,
    auth::Caller,
    conversations::{Owner, Role, Thread, store::Turn},
};

/// Characters of a question.
pub(super) const QUESTION: std::ops::RangeInclusive<usize> = 1..=4000;
/// Characters of a selection.
pub(super) const SELECTION: std::ops::RangeInclusive<usize> = 1..=8000;
/// Turns that a guest may send along.
pub(super) const HISTORY_TURNS: usize = 10;
/// Characters of all of them.
pub(super) const HISTORY_CHARS: usize = 8000;

/// A question that passed every check on its form and on the asker's rights.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose it is.
    pub owner: Owner,
    /// The reader's words, as typed.
    pub question: String,
    /// The same as the client wrote it, if that was more than words: it gets it back.
    pub written: Option<Value>,
    /// The text that the reader selected and asks about.
    pub selection: Option<String>,
    /// The conversation that it belongs to; for a guest, nothing is kept in any case.
    pub thread: Thread,
    /// Earlier turns as the client tells them: untrusted. A conversation that is kept knows
    /// its own.
    pub history: Vec<Turn>,
    /// Whether it was asked before.
    pub again: Again,
    /// Whether the client is told that we are searching: then the stream opens before the
    /// search, and a search that fails is an event in it.
    pub opens_early: bool,
    /// Whether the client was told that the conversation exists: then the question is kept
    /// even if nothing comes of it.
    pub promised: bool,
    /// What makes a repeated request the same request.
    pub key: Option<Key>,
}

/// Equal for requests of one owner that say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The client says that it sends this for the first time: it joins no other answer, but its
    /// own repetition may join it.
    First([u8; 32]),
    /// It may have been sent before: it joins the answer to an equal request that is on its
    /// way, or was a moment ago.
    Repeated([u8; 32]),
}

/// Whether a question was asked before: then the new answer, unless it breaks off, takes the
/// place of the old one and of all that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is new.
    No,
    /// It was the last one, if the last one has the same words.
    Last,
    /// It is this message of the conversation.
    At(Uuid),
    /// It was sent again by itself, and is this message, whose answer was cut off.
    Resent(Uuid),
    /// It is the message that its client calls so, or else the last one, if that has the same
    /// words.
    Called(String),
    /// It takes the place of the message that its client calls so, in other words.
    Edited(String),
}

impl Ask {
    /// A question of its own, which nothing but the log keeps.
    pub fn new(owner: Owner, question: String) -> Self {
        Self {
            owner,
            question,
            written: None,
            selection: None,
            thread: Thread::LogOnly,
            history: Vec::new(),
            again: Again::No,
            opens_early: false,
            promised: false,
            key: None,
        }
    }
}

/// The conversation of this id. Ids are ours and UUIDs, and guests have none, so anything else
/// is a conversation that does not exist.
pub(super) fn known(owner: &Owner, id: &str) -> Result<Thread> {
    match Uuid::try_parse(id) {
        Ok(id) if *owner != Owner::Guest => Ok(Thread::Known(id)),
        _ => Err(Error::NotFound("conversation")),
    }
}

/// Both bodies of the contract: `{"message": …}` and `{"query_text": …}`.
#[derive(Deserialize)]
pub(super) struct Body {
    message: Option<Message>,
    query_text: Option<String>,
    selected_text: Option<String>,
    context_mode: Option<String>,
    user_id: Option<String>,
    conversation_id: Option<String>,
    retry: Option<bool>,
    history: Option<Vec<Said>>,
}

#[derive(Deserialize)]
struct Message {
    content: String,
    user_id: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    context: Option<String>,
    context_mode: Option<String>,
    selected_text: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    role: Role,
    content: String,
}

impl Body {
    /// The question, or what is wrong with it, by field.
    pub(super) fn into_ask(self, caller: &Caller) -> Result<Ask> {
        let (field, question, metadata, user_id) = match (self.message, self.query_text) {
            (Some(it), None) => {
                let metadata = it.metadata.unwrap_or_default();
                ("message.content", it.content, metadata, it.user_id)
            }
            (None, Some(text)) => ("query_text", text, Metadata::default(), None),
            (Some(_), Some(_)) => {
                return Err(Error::invalid("query_text", "cannot be sent with message"));
            }
            (None, None) => {
                return Err(Error::invalid("message", "or query_text must be sent"));
            }
        };
        check(field, &question, &QUESTION)?;
        let owner = caller.acts_for(user_id.or(self.user_id).as_deref())?;
        let mode = metadata.context.or(metadata.context_mode).or(self.context_mode);
        let selection = metadata.selected_text.or(self.selected_text);
        let selection = match mode.as_deref() {
            None | Some("full-book") => None,
            Some("selected-text") => {
                let text = selection
                    .ok_or_else(|| Error::invalid("selected_text", "is missing"))?;
                check("selected_text", &text, &SELECTION)?;
                Some(text)
            }
            Some(_) => {
                let allowed = "must be full-book or selected-text";
                return Err(Error::invalid("context_mode", allowed));
            }
        };
        let thread = match self.conversation_id {
            None => Thread::New,
            Some(id) => known(&owner, &id)?,
        };
        let history = match self.history {
            Some(said) if owner == Owner::Guest => history(said)?,
            _ => Vec::new(),
        };
        let again = if self.retry == Some(true) { Again::Last } else { Again::No };
        Ok(Ask { selection, thread, history, again, ..Ask::new(owner, question) })
    }
}

fn history(said: Vec<Said>) -> Result<Vec<Turn>> {
    let chars: usize = said.iter().map(|it| it.content.chars().count()).sum();
    if said.len() > HISTORY_TURNS || chars > HISTORY_CHARS {
        let limits =
            format!("holds at most {HISTORY_TURNS} turns and {HISTORY_CHARS} characters");
        return Err(Error::invalid("history", limits));
    }
    let turn = |it: Said| Turn { role: it.role, text: it.content.replace('\0', "") };
    Ok(said.into_iter().map(turn).collect())
}

/// Whether a text can be asked, and is as long as is `allowed`.
pub(super) fn check(
    field: &str,
    text: &str,
    allowed: &std::ops::RangeInclusive<usize>,
) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if text.contains('\0') {
        // Postgres cannot keep it, and no keyboard makes it.
        return Err(Error::invalid(field, "must not contain the character U+0000"));
    }
    if !allowed.contains(&text.chars().count()) {
        let (least, most) = (allowed.start(), allowed.end());
        return Err(Error::invalid(
            field,
            format!("must be {least} to {most} characters"),
        ));
    }
    Ok(())
}
