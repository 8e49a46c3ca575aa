//! The one thing this service is for: answering a question from the book.
//!
//! [`start`] does everything that may still be refused with a status code and then lets the
//! answer run as a task of the request: it is finished and saved even if the reader hangs up.

pub mod ai;
mod answer;
mod ask;
pub mod chatkit;
mod cite;
mod code;
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

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, Stream, StreamExt};
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub use self::{
    ask::{Again, Ask, Key},
    cite::Marker,
    event::{Answer, Asking, Cited, Event, Failure, Text},
    sources::Source,
};
use self::{
    follow::Follower,
    question::Question,
    recorder::{Log, Recorder},
};
use crate::{
    App, Error, Result,
    call::Call,
    conversations::{Exchange, Owner, runs},
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
    /// Whether an equal request had started it.
    pub is_joined: bool,
    /// Stops the answer when it is dropped, and so stands before the events.
    hang_up: Option<DropGuard>,
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
            is_joined: false,
            hang_up: None,
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

    /// The events for a reader who stops an answer by hanging up. Whoever has only joined one
    /// leaves it to its first reader.
    pub(super) fn into_events_or_stop(mut self) -> impl Stream<Item = Event> + Send {
        self.hang_up = self.stop.take().map(CancellationToken::drop_guard);
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
/// that an equal request has started.
pub async fn start(app: &'static App, call: &Call, ask: Ask) -> Result<Started> {
    let (opens_early, key) = (ask.opens_early, ask.key);
    let mut question = question::prepare(app, call, ask).await?;
    let (reader, events) = unbounded_channel();
    let mut started = Started::new(&question.record(), events);
    started.stop = Some(question.stop.clone());
    let log = match record(app, call, &question, key).await? {
        Recording::Joined(id) => {
            let joined = resume(app, call, &question.owner, id, 0).await?;
            return Ok(Started { is_joined: true, ..joined });
        }
        Recording::Off => None,
        Recording::To(log) => Some(log),
    };
    started.is_recorded = log.is_some();
    let events = Events { reader, log };
    if !opens_early {
        question.search_or_log(app).await?;
    }
    call.tasks.spawn(async move {
        let record = question.record();
        let (away, deadline) = (question.database_is_away(), question.deadline);
        let run = answer::run(app, question, events.clone());
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            let err = Error::Internal("an answer panicked".to_owned());
            keep::failed(app, record, &err, away, deadline).await;
            events.send(Event::Failed(Failure::from(&err)));
        }
    });
    Ok(started)
}

/// What became of the wish to record a run.
enum Recording {
    /// It is not recorded.
    Off,
    /// An equal request has started this one.
    Joined(Uuid),
    /// It is, from what is sent here.
    To(Log),
}

/// Starts the recorder. Only for a request that may be a repeated one do we wait until the run
/// is open; otherwise that happens beside the search.
async fn record(
    app: &'static App,
    call: &Call,
    question: &Question,
    key: Option<Key>,
) -> Result<Recording> {
    if !recorder::is_on(app.env())? || question.database_is_away() {
        return Ok(Recording::Off);
    }
    let db = app.db().await?;
    let (exchange, stop) = (question.record(), question.stop.clone());
    let (recorder, log) = Recorder::new(db, exchange, call.deadline, stop);
    if !matches!(key, Some(Key::Repeated(_))) {
        call.tasks.spawn(recorder.open_and_record(key));
        return Ok(Recording::To(log));
    }
    match recorder.open(key).await {
        Ok(Some(id)) => Ok(Recording::Joined(id)),
        Ok(None) => {
            call.tasks.spawn(recorder.record());
            Ok(Recording::To(log))
        }
        Err(err) => {
            tracing::warn!(cause = err.chain(), "an answer has no run log");
            Ok(Recording::Off)
        }
    }
}

/// Asks the instance that writes, through the log, to stop this run. Says whether there is anything
/// left to stop; errors as of [`resume`].
pub async fn stop(app: &App, call: &Call, owner: &Owner, id: Uuid) -> Result<bool> {
    let db = app.db().await?;
    call.within(found(id, || runs::stop(db, owner, id))).await
}

/// What `look` finds of a run. One that was made a moment ago may have its row still on its way.
async fn found<T, F>(id: Uuid, look: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let made = id.get_timestamp().map(SystemTime::from);
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        let age = made.and_then(|it| it.elapsed().ok());
        if age.is_none_or(|it| it > Duration::from_secs(1)) {
            return Err(Error::NotFound("answer"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The answer of this run from its event after `told` on, by whichever instance it is or was
/// made. [`Error::NotFound`] when it is not the owner's or was too long ago.
pub async fn resume(
    app: &'static App,
    call: &Call,
    owner: &Owner,
    id: Uuid,
    told: usize,
) -> Result<Started> {
    let db = app.db().await?;
    let exchange = call.within(found(id, || runs::find(db, owner, id))).await?;
    let (reader, events) = unbounded_channel();
    let mut started = Started::new(&exchange, events);
    started.told = told;
    let follower = Follower { db, id, deadline: call.deadline, reader };
    call.tasks.spawn(follower.follow(told));
    Ok(started)
}
