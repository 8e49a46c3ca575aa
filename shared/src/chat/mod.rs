//! The one thing this service is for: answering a question from the book.
//!
//! [`start`] does everything that may still be refused with a status code and then lets the
//! answer run as a task of the request: it is finished and saved even if the reader hangs up.

mod answer;
mod ask;
mod cite;
mod code;
pub mod completions;
mod condense;
mod extract;
mod fragment;
mod keep;
mod links;
mod prompt;
mod question;
mod reply;
pub mod send;
mod sources;
pub mod stream;
mod stretch;
mod transcript;
pub mod ui;

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, Stream};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

pub use self::{ask::Ask, cite::Marker, sources::Source};
use crate::{App, Error, Result, call::Call, llm::Usage};

/// What happens while an answer is made. Exactly one of `Done` and `Failed` comes, and last.
#[derive(Debug)]
pub enum Event {
    /// More text. All of them together are the answer's content, to the byte.
    Delta(String),
    /// The whole answer, saved.
    Done(Box<Answer>),
    /// It broke off. What there was is kept.
    Failed(Error),
}

/// A whole answer, in the contract's words.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The text, with `[n]` where a source is cited.
    pub content: String,
    /// The answer's id, also of its log row.
    pub message_id: Uuid,
    /// When it was finished.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// Where it is kept; absent for guests, and when only the log keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Uuid>,
    /// What was cited, and nothing else.
    pub sources: Vec<Source>,
    /// Where in the text.
    #[serde(skip)]
    pub markers: Vec<Marker>,
    /// The book does not answer this.
    pub refused: bool,
    /// No citation survived checking.
    pub unsupported: bool,
    /// What was down: `qdrant`, `embeddings`, `reranker`, `llm`, `database`.
    pub degraded: Vec<&'static str>,
    /// Whether it is in the history; absent when there is none that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<bool>,
    /// The version of the book that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_version: Option<String>,
    /// Tokens.
    pub usage: Usage,
}

/// An answer on its way.
pub struct Started {
    /// The id that the answer will have.
    pub message_id: Uuid,
    /// Where it will be kept, if it is kept. Should another first question make the client's
    /// conversation at the same moment, it is that one: the answer knows.
    pub conversation: Option<Uuid>,
    /// Its events.
    pub events: UnboundedReceiver<Event>,
}

impl Started {
    /// The events as a stream.
    pub(super) fn into_events(self) -> impl Stream<Item = Event> + Send {
        futures_util::stream::unfold(self.events, |mut events| async {
            let event = events.recv().await?;
            Some((event, events))
        })
    }

    /// The whole answer, or why there is none.
    pub(super) async fn whole(mut self) -> Result<Box<Answer>> {
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Delta(_) => {}
                Event::Done(answer) => return Ok(answer),
                Event::Failed(err) => return Err(err),
            }
        }
        Err(Error::Internal("an answer ended without its last event".to_owned()))
    }
}

/// Where the events of an answer go. A reader who left is no reason to stop.
#[derive(Clone)]
struct Events(UnboundedSender<Event>);

impl Events {
    fn send(&self, event: Event) {
        self.0.send(event).ok();
    }
}

/// Looks everything up that may refuse the question, then starts the answer.
pub async fn start(app: &'static App, call: &Call, ask: Ask) -> Result<Started> {
    let question = question::prepare(app, call, ask).await?;
    let (message_id, conversation) = (question.message_id, question.conversation);
    let (sender, events) = unbounded_channel();
    let sender = Events(sender);
    call.tasks.spawn(async move {
        let record = question.record();
        let (away, deadline) = (question.database_is_away(), question.deadline);
        let run = answer::run(app, question, sender.clone());
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            let err = Error::Internal("an answer panicked".to_owned());
            keep::failed(app, record, &err, away, deadline).await;
            sender.send(Event::Failed(err));
        }
    });
    Ok(Started { message_id, conversation, events })
}
