//! The one thing this service is for: answering a question from the book.
//!
//! [`start`] does everything that may still be refused with a status code and then lets the
//! answer run as a task of the request: it is finished and saved even if the reader hangs up.

pub mod ai;
mod answer;
mod ask;
pub mod chatkit;
mod cite;
pub(crate) mod code;
pub mod completions;
mod condense;
mod event;
mod extract;
mod follow;
mod fragment;
mod keep;
mod links;
mod prompt;
mod question;
mod recorder;
mod reply;
pub mod run;
pub mod send;
mod sources;
pub mod stream;
mod stretch;
mod transcript;
pub mod ui;

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub use self::{
    ask::{Again, Ask, Key},
    cite::Marker,
    event::{Answer, Asking, Cited, Event, Failure, Text},
    follow::{resume, stop},
    sources::Source,
};
use self::{
    follow::Elsewhere,
    recorder::{Log, Recording},
};
use crate::{
    App, Error, Result,
    call::Call,
    conversations::{Exchange, Thread, runs::Standing},
};

/// An answer on its way.
pub struct Started {
    /// The id that the answer will have.
    pub message_id: Uuid,
    /// The id that the question will have.
    pub question_id: Uuid,
    /// When it was asked.
    pub asked_at: OffsetDateTime,
    /// Where it will be kept, if it is kept. Should another first question make the client's
    /// conversation at the same moment, it is that one: the answer knows.
    pub conversation: Option<Uuid>,
    /// Whether the run log tells it to whoever comes back for it.
    pub is_recorded: bool,
    /// Who makes it, if an equal request had started it.
    elsewhere: Option<Elsewhere>,
    /// Stops the answer when it is dropped, and so stands before the events.
    hang_up: Option<DropGuard>,
    /// Cancelled with the last event, after which there is nothing to stop.
    over: CancellationToken,
    events: UnboundedReceiver<Event>,
    /// Events that were told already.
    told: usize,
    markers: Vec<Marker>,
    /// Stops the answer that is made here.
    stop: Option<CancellationToken>,
}

impl Started {
    fn new(exchange: &Exchange, events: UnboundedReceiver<Event>) -> Self {
        Self {
            message_id: exchange.id,
            question_id: exchange.question_id,
            asked_at: exchange.asked_at,
            conversation: exchange.conversation_id,
            is_recorded: true,
            elsewhere: None,
            hang_up: None,
            over: CancellationToken::new(),
            events,
            told: 0,
            markers: Vec::new(),
            stop: None,
        }
    }

    /// The next event; the answer in the last one knows where its markers stand.
    pub async fn next(&mut self) -> Option<Event> {
        let mut event = self.events.recv().await?;
        self.told += 1;
        if event.is_last() {
            self.over.cancel();
        }
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
        self.into_numbered().map(|(_, event)| event)
    }

    /// The events with their numbers in the run, from 1.
    pub(super) fn into_numbered(self) -> impl Stream<Item = (usize, Event)> + Send {
        futures_util::stream::unfold(self, |mut started| async {
            let event = started.next().await?;
            Some(((started.told, event), started))
        })
    }

    /// The events for a reader who stops an answer by hanging up. Whoever has sent a request
    /// again has lost the first connection, and stops it too, wherever it is made.
    pub(super) fn into_events_or_stop(mut self) -> impl Stream<Item = Event> + Send {
        let stop = match self.elsewhere.take() {
            None => self.stop.take(),
            Some(maker) => Some(maker.stop(self.message_id, self.over.clone())),
        };
        self.hang_up = stop.map(CancellationToken::drop_guard);
        self.into_events()
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

/// Where the events of an answer go: to the reader, who may have left, which is no reason to
/// stop; and to the run log.
#[derive(Clone)]
struct Events {
    reader: UnboundedSender<Event>,
    log: Option<Log>,
}

impl Events {
    fn send(&self, event: Event) {
        if let Some(log) = &self.log {
            log.events.send(event.clone()).ok();
        }
        self.reader.send(event).ok();
    }

    /// Waits until an answer can be found again by whoever has seen some of it. It was opened
    /// beside the search, so most often there is no wait; there never is a long one.
    async fn can_be_found(&self) {
        if let Some(log) = &self.log {
            tokio::time::timeout(OPENING, log.is_open.cancelled()).await.ok();
        }
    }
}

/// The most by which the run log may delay the first word.
const OPENING: Duration = Duration::from_millis(5);

/// Looks everything up that may refuse the question, then starts the answer, or joins the one
/// that an equal request has started. If that one was cut off, which a page does that is hidden
/// for a while, the question is asked again in its place.
pub async fn start(app: &'static App, call: &Call, ask: Ask) -> Result<Started> {
    let started = begin(app, call, ask.clone()).await?;
    let Some(maker) = &started.elsewhere else { return Ok(started) };
    let ask = match maker.standing(call, started.message_id).await {
        Standing::CutOff => Ask {
            thread: match (ask.thread, started.conversation) {
                (Thread::New, Some(made)) => Thread::Known(made),
                (thread, _) => thread,
            },
            again: Again::Resent(started.question_id),
            promised: false,
            ..ask
        },
        Standing::Free => ask,
        Standing::Going | Standing::Stopping | Standing::Whole => return Ok(started),
    };
    begin(app, call, ask).await
}

async fn begin(app: &'static App, call: &Call, ask: Ask) -> Result<Started> {
    let (opens_early, key) = (ask.opens_early, ask.key);
    let mut question = question::prepare(app, call, ask).await?;
    let (reader, events) = unbounded_channel();
    let mut started = Started::new(&question.record(), events);
    started.stop = Some(question.stop.clone());
    let log = match recorder::record(app, call, &question, key).await? {
        Recording::Joined(id) => {
            let joined = resume(app, call, &question.owner, id, 0).await?;
            let maker = Elsewhere::new(app.db().await?, question.owner, call);
            return Ok(Started { elsewhere: Some(maker), ..joined });
        }
        Recording::Off => None,
        Recording::To(log) => Some(log),
    };
    started.is_recorded = log.is_some();
    let events = Events { reader, log };
    if !opens_early {
        question.search_or_log(app).await?;
    }
    call.tasks.spawn(answer::run(app, question, events));
    Ok(started)
}
