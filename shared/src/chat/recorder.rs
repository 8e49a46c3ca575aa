//! Writes the run log while an answer is made: in batches, beside the answer and never in its
//! way.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Cited, Event, Key, question::Question};
use crate::{
    App, Error, Result,
    call::Call,
    config::Env,
    conversations::{
        Exchange, Status,
        runs::{self, Batch, Heartbeat, Lapsed},
    },
    db::Pool,
    llm::Usage,
};

/// How long events are gathered before they are written.
const GATHERED: Duration = Duration::from_millis(150);

/// How long the log is silent at most: so often the lease is renewed, and so late, with one
/// round trip, is a wish to stop heard.
const HEARTBEAT: Duration = Duration::from_millis(400);

/// How long one round trip may take. Well under the lease.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same once the answer's time is up: the platform gives us two seconds after it, of which
/// most belongs to the save.
const FAREWELL: Duration = Duration::from_millis(400);

/// How long a batch is tried once the answer is there: then the lease is over too, and the
/// platform waits for us.
pub(super) const OUTAGE: Duration = Duration::from_secs(4);

/// How long the last ones who leave look after what others left behind.
const TIDYING: Duration = Duration::from_millis(300);

/// Whether answers are recorded: `RUN_LOG`, `on` (the default) or `off`.
fn is_on(env: &Env) -> Result<bool> {
    match env.get("RUN_LOG") {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(Error::Misconfigured("RUN_LOG")),
    }
}

/// What became of the wish to record a run.
pub(super) enum Recording {
    /// It is not recorded.
    Off,
    /// An equal request has started this one.
    Joined(Uuid),
    /// It is, from what is sent here.
    To(Log),
}

/// Starts the recorder. Only for a request that may be a repeated one do we wait until the run
/// is open; otherwise that happens beside the search.
pub(super) async fn record(
    app: &'static App,
    call: &Call,
    question: &Question,
    key: Option<Key>,
) -> Result<Recording> {
    if !is_on(app.env())? || question.database_is_away() {
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

/// Where events are sent to be recorded.
#[derive(Clone)]
pub(super) struct Log {
    pub events: UnboundedSender<Event>,
    /// Cancelled when there is nothing to wait for any more: the run is open, or cannot be.
    pub is_open: CancellationToken,
}

/// The recorder of one run.
struct Recorder {
    db: &'static Pool,
    exchange: Exchange,
    deadline: Instant,
    events: UnboundedReceiver<Event>,
    is_open: CancellationToken,
    /// Cancelled when the log says that the reader wants no more.
    stop: CancellationToken,
}

impl Recorder {
    /// The recorder of the run of this exchange, and the way to it.
    fn new(
        db: &'static Pool,
        exchange: Exchange,
        deadline: Instant,
        stop: CancellationToken,
    ) -> (Self, Log) {
        let (sender, events) = unbounded_channel();
        let is_open = CancellationToken::new();
        let log = Log { events: sender, is_open: is_open.clone() };
        (Self { db, exchange, deadline, events, is_open, stop }, log)
    }

    /// Opens the run; `Some` is the run of an equal request.
    async fn open(&self, key: Option<Key>) -> Result<Option<Uuid>> {
        let (key, joins) = match &key {
            None => (None, false),
            Some(Key::First(key)) => (Some(key.as_slice()), false),
            Some(Key::Repeated(key)) => (Some(key.as_slice()), true),
        };
        let opened = runs::open(self.db, &self.exchange, key, joins);
        let opened = self.patiently(opened).await;
        self.is_open.cancel();
        opened
    }

    /// Opens the run, and then records it.
    async fn open_and_record(self, key: Option<Key>) {
        match self.open(key).await {
            Ok(None) => self.record().await,
            // Two equal requests at the very same moment: one of them has the log.
            Ok(Some(_)) => {}
            Err(err) => tracing::warn!(cause = err.chain(), "an answer has no run log"),
        }
    }

    /// Records the events of a run that is open, until the last one.
    async fn record(mut self) {
        let mut pending = Pending::of(&self.exchange);
        while !pending.is_over {
            let is_open = self.gather(&mut pending).await;
            if !is_open && !pending.is_over {
                // Refused before there was anything to tell.
                self.patiently(runs::discard(self.db, self.exchange.id)).await.ok();
                return;
            }
            if !self.write(&mut pending).await {
                return;
            }
        }
        self.tidy_up().await;
    }

    /// Waits for events, and then for those that follow at once; at most until the next
    /// heartbeat is due. `false` when nobody can send any more.
    async fn gather(&mut self, pending: &mut Pending) -> bool {
        let mut until = tokio::time::Instant::now() + HEARTBEAT;
        while !pending.is_over {
            match tokio::time::timeout_at(until, self.events.recv()).await {
                Ok(Some(event)) => {
                    if pending.batch.events.is_empty() {
                        until = until.min(tokio::time::Instant::now() + GATHERED);
                    }
                    pending.take(&event);
                }
                Ok(None) => return false,
                Err(_) => break,
            }
        }
        true
    }

    /// Writes what was gathered; `false` when the run is no longer ours. A batch that may have
    /// been written stays as it is until we know: nothing may be added to it any more.
    async fn write(&self, pending: &mut Pending) -> bool {
        let (id, batch, known) = (self.exchange.id, &pending.batch, pending.known());
        let since = Instant::now();
        loop {
            let appended = runs::append(self.db, id, batch, &known, pending.is_over);
            match self.patiently(appended).await {
                Ok(Heartbeat::Over) => return false,
                Ok(Heartbeat::Stopping) => self.stop.cancel(),
                Ok(Heartbeat::Going) => {}
                Err(err) => {
                    tracing::warn!(cause = err.chain(), "the run log is behind");
                    // While the answer is made nobody waits for us.
                    let is_waited_for = pending.is_over || self.events.is_closed();
                    if is_waited_for && since.elapsed() > OUTAGE
                        || Instant::now() > self.deadline
                    {
                        return false;
                    }
                    tokio::time::sleep(GATHERED).await;
                    continue;
                }
            }
            pending.written();
            return true;
        }
    }

    /// Answers whose maker died come home with whoever is next, and old runs go.
    async fn tidy_up(&self) {
        if Instant::now() > self.deadline {
            return;
        }
        let work = async {
            runs::settle(self.db, Lapsed::All).await?;
            runs::forget(self.db).await
        };
        let tidied = tokio::time::timeout(TIDYING, work).await;
        if let Err(err) = tidied.unwrap_or(Err(Error::Timeout)) {
            tracing::warn!(cause = err.chain(), "the run log was not tidied up");
        }
    }

    async fn patiently<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let patience = left.clamp(FAREWELL, PATIENCE);
        tokio::time::timeout(patience, work).await.unwrap_or(Err(Error::Timeout))
    }
}

/// What is to be written next.
#[derive(Default)]
struct Pending {
    batch: Batch,
    /// Numbers of the sources that were told.
    told: Vec<usize>,
    model: String,
    spent: Usage,
    /// Characters of the answer so far.
    chars: usize,
    /// Whether a conversation keeps what there is when the answer is cut off …
    is_kept: bool,
    /// … and whether it keeps a question to which there is no word of an answer: because its
    /// reader was promised so, or because it was there before.
    is_promised: bool,
    is_over: bool,
}

impl Pending {
    fn of(exchange: &Exchange) -> Self {
        Self {
            batch: Batch { first: 1, ..Batch::default() },
            is_kept: exchange.conversation_id.is_some(),
            is_promised: exchange.status != Status::Failed || exchange.replaces.is_some(),
            ..Self::default()
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Asking(asking) => {
                asking.model.clone_into(&mut self.model);
                self.spent = asking.spent;
            }
            Event::Text(text) => {
                self.chars += text.text.chars().count();
                self.batch.content.push_str(&text.text);
                for Cited { marker, source } in &text.cited {
                    self.batch.markers.push(json!(marker));
                    if !self.told.contains(&source.n) {
                        self.told.push(source.n);
                        self.batch.sources.push(json!(source));
                    }
                }
            }
            _ => {}
        }
        self.is_over = event.is_last();
        self.batch.is_void = match event {
            Event::Failed(_) => !self.is_kept || self.chars == 0 && !self.is_promised,
            Event::Done(answer) => {
                answer.stopped && (!self.is_kept || answer.saved == Some(false))
            }
            _ => false,
        };
        self.batch.events.push(json!(event));
    }

    /// What the log would say of the exchange if it broke off here.
    fn known(&self) -> Value {
        if self.model.is_empty() {
            return json!({});
        }
        let usage = self.spent + Usage::estimate(0, self.chars);
        json!({ "model": self.model, "usage": usage })
    }

    fn written(&mut self) {
        let count = i32::try_from(self.batch.events.len()).unwrap_or(i32::MAX);
        let first = self.batch.first.saturating_add(count);
        self.batch = Batch { first, ..Batch::default() };
    }
}
