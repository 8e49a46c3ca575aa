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
mod event;
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
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

pub use self::{
    ask::Ask,
    cite::Marker,
    event::{Answer, Asking, Cited, Event, Failure, Text},
    sources::Source,
};
use crate::{App, Error, Result, call::Call};

/// An answer on its way.
pub struct Started {
    /// The id that the answer will have.
    pub message_id: Uuid,
    /// Where it will be kept, if it is kept. Should another first question make the client's
    /// conversation at the same moment, it is that one: the answer knows.
    pub conversation: Option<Uuid>,
    events: UnboundedReceiver<Event>,
    markers: Vec<Marker>,
}

impl Started {
    /// The next event; the answer in the last one knows where its markers stand.
    pub async fn next(&mut self) -> Option<Event> {
        let mut event = self.events.recv().await?;
        match &mut event {
            Event::Text(text) => {
                self.markers.extend(text.cited.iter().map(|it| it.marker));
            }
            Event::Done(answer) => answer.markers = std::mem::take(&mut self.markers),
            _ => {}
        }
        Some(event)
    }

    /// The events as a stream.
    pub(super) fn into_events(self) -> impl Stream<Item = Event> + Send {
        futures_util::stream::unfold(self, |mut started| async {
            Some((started.next().await?, started))
        })
    }

    /// The whole answer, or why there is none.
    pub(super) async fn whole(mut self) -> Result<Box<Answer>> {
        while let Some(event) = self.next().await {
            match event {
                Event::Done(answer) => return Ok(answer),
                Event::Failed(failure) => return Err(failure.into()),
                _ => {}
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
            sender.send(Event::Failed(Failure::from(&err)));
        }
    });
    Ok(Started { message_id, conversation, events, markers: Vec::new() })
}
