//! Coming back for an answer: tells it again from the run log, and goes on with it until its
//! end. And stopping one, wherever it is made.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Event, Failure, Started, recorder::OUTAGE};
use crate::{
    App, Error, Result,
    call::{Call, Tasks},
    conversations::{
        Owner,
        runs::{self, Lapsed, News, Standing},
    },
    db::Pool,
};

/// How often the log is asked for more: about as often as it is written.
const EVERY: Duration = Duration::from_millis(150);

/// How soon after its connection broke an answer is stopped and kept, by its own instance …
const BREAKING: Duration = Duration::from_millis(500);

/// … and by another one, that hears of it through the log. For so long the platform is kept
/// waiting for a wish to stop, too.
const STOPPING: Duration = Duration::from_secs(2);

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

/// Asks the instance that writes, through the log, to stop this run. Says whether there is
/// anything left to stop; errors as of [`resume`].
pub async fn stop(app: &App, call: &Call, owner: &Owner, id: Uuid) -> Result<bool> {
    let db = app.db().await?;
    call.within(found(id, || runs::stop(db, owner, id))).await
}

/// Whoever makes an answer for an equal request, in this instance or another one.
pub(super) struct Elsewhere {
    db: &'static Pool,
    owner: Owner,
    tasks: Tasks,
}

impl Elsewhere {
    pub(super) fn new(db: &'static Pool, owner: Owner, call: &Call) -> Self {
        Self { db, owner, tasks: call.tasks.clone() }
    }

    /// What became of the answer that an equal request has started. One that may be about to be
    /// stopped, because its first connection has just broken, is waited for a moment. A database
    /// that is away leaves it as it was found.
    pub(super) async fn standing(&self, call: &Call, id: Uuid) -> Standing {
        let since = Instant::now();
        loop {
            let found =
                call.within(runs::standing(self.db, id)).await.unwrap_or_else(|err| {
                    tracing::warn!(cause = err.chain(), "an answer was joined as it is");
                    Standing::Whole
                });
            let patience = match found {
                Standing::Going => BREAKING,
                Standing::Stopping => STOPPING,
                _ => return found,
            };
            if since.elapsed() > patience {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What stops the answer when it is cancelled, unless it is `over` by then.
    pub(super) fn stop(self, id: Uuid, over: CancellationToken) -> CancellationToken {
        let Self { db, owner, tasks } = self;
        let hung_up = CancellationToken::new();
        let stop = hung_up.clone();
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = over.cancelled() => return,
                () = hung_up.cancelled() => {}
            }
            let stopped = tokio::time::timeout(STOPPING, runs::stop(db, &owner, id));
            if let Err(err) = stopped.await.unwrap_or(Err(Error::Timeout)) {
                tracing::warn!(cause = err.chain(), "an answer was not stopped");
            }
        });
        stop
    }
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

/// One who follows a run.
struct Follower {
    db: &'static Pool,
    id: Uuid,
    deadline: Instant,
    reader: UnboundedSender<Event>,
}

impl Follower {
    /// Sends every event after `told`, and the last one in any case: a reader may have heard more
    /// of a maker that died than the log did.
    async fn follow(self, told: usize) {
        let followed = tokio::select! {
            () = self.reader.closed() => return,
            () = tokio::time::sleep_until(self.deadline.into()) => Err(Error::Timeout),
            followed = self.tell(told) => followed,
        };
        if let Err(err) = followed {
            tracing::error!(cause = err.chain(), "a run could not be followed");
            self.reader.send(Event::Failed(Failure::from(&err))).ok();
        }
    }

    async fn tell(&self, told: usize) -> Result<()> {
        // The number of the first event of the newest batch that was seen.
        let mut seen = 0;
        loop {
            let Some(News { batches, is_over, is_lapsed }) = self.news(seen).await?
            else {
                // It was refused after all, or its conversation was deleted.
                self.reader.send(Event::Failed(Failure::Interrupted)).ok();
                return Ok(());
            };
            for (first, events) in batches {
                seen = first;
                for (n, event) in (first as usize..).zip(events) {
                    let event: Event = serde_json::from_value(event).map_err(|err| {
                        Error::Internal(format!("an event was not read: {err}"))
                    })?;
                    let is_last = event.is_last();
                    if n > told || is_last {
                        self.reader.send(event).ok();
                    }
                    if is_last {
                        return Ok(());
                    }
                }
            }
            if is_over {
                // Its maker died before it could say so.
                self.reader.send(Event::Failed(Failure::Interrupted)).ok();
                return Ok(());
            }
            if is_lapsed {
                runs::settle(self.db, Lapsed::Run(self.id)).await?;
            } else {
                tokio::time::sleep(EVERY).await;
            }
        }
    }

    /// What was told since. A database that is away for a moment is waited for, as whoever makes
    /// the answer does.
    async fn news(&self, seen: i32) -> Result<Option<News>> {
        let since = Instant::now();
        loop {
            match runs::news(self.db, self.id, seen).await {
                Err(Error::Unavailable { .. }) if since.elapsed() < OUTAGE => {
                    tokio::time::sleep(EVERY).await;
                }
                news => return news,
            }
        }
    }
}
