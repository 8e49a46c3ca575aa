//! Tells an answer again from the run log, and goes on with it until its end.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::{Event, Failure};
use crate::{
    Error, Result,
    conversations::runs::{self, Lapsed, News},
    db::Pool,
};

/// How often the log is asked for more: about as often as it is written.
const EVERY: Duration = Duration::from_millis(150);

/// One who follows a run.
pub(super) struct Follower {
    pub db: &'static Pool,
    pub id: Uuid,
    pub deadline: Instant,
    pub reader: UnboundedSender<Event>,
}

impl Follower {
    /// Sends every event after `told`. Unless it was told already, one that is the last comes in
    /// any case.
    pub(super) async fn follow(self, told: usize) {
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
        // The number of the first event of the newest batch that was seen, and of its last.
        let (mut seen, mut last) = (0, 0);
        loop {
            let news = runs::news(self.db, self.id, seen).await?;
            let Some(News { batches, is_over, is_lapsed }) = news else {
                // It was refused after all, or its conversation was deleted.
                self.reader.send(Event::Failed(Failure::Interrupted)).ok();
                return Ok(());
            };
            for (first, events) in batches {
                seen = first;
                for (n, event) in (first as usize..).zip(events) {
                    last = n;
                    let event: Event = serde_json::from_value(event).map_err(|err| {
                        Error::Internal(format!("an event was not read: {err}"))
                    })?;
                    let is_last = event.is_last();
                    if n > told {
                        self.reader.send(event).ok();
                    }
                    if is_last {
                        return Ok(());
                    }
                }
            }
            if is_over {
                // Its maker died before it could say so; a reader may have heard it already.
                if last >= told {
                    self.reader.send(Event::Failed(Failure::Interrupted)).ok();
                }
                return Ok(());
            }
            if is_lapsed {
                runs::settle(self.db, Lapsed::Run(self.id)).await?;
            } else {
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}
