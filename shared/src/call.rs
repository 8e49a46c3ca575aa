//! What belongs to one request, without a word of HTTP: its deadline, and the work that must be
//! finished before the platform hears that it is done.

use std::time::Instant;

use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::{Error, Result};

/// What belongs to one request.
#[derive(Clone)]
pub struct Call {
    /// `UUIDv7`, in the `x-request-id` header, in problem details and in every log line.
    pub request_id: Uuid,
    /// The moment after which nobody waits for the answer.
    pub deadline: Instant,
    /// Work that outlives the handler.
    pub tasks: Tasks,
}

impl Call {
    /// The outcome of `work`, or [`Error::Timeout`] once nobody waits for it any more: a peer
    /// that is silent must not hold a request for ever.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let outcome = tokio::time::timeout_at(self.deadline.into(), work).await;
        outcome.unwrap_or(Err(Error::Timeout))
    }
}

/// The background tasks of one request. A platform freezes or stops a process once it
/// believes a request to be over, so nothing may be spawned elsewhere.
#[derive(Clone, Default)]
pub struct Tasks {
    request: TaskTracker,
    process: TaskTracker,
}

impl Tasks {
    /// Tasks that `process` counts too, for a server that drains before it ends.
    pub(crate) fn counted_by(process: &TaskTracker) -> Self {
        Self { request: TaskTracker::new(), process: process.clone() }
    }

    /// Runs `work` to its end even when the client goes away.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.process.spawn(self.request.track_future(work.in_current_span()));
    }

    /// Resolves when every task has ended. Nothing is spawned after this was called.
    pub async fn done(self) {
        self.request.close();
        self.request.wait().await;
    }

    /// Whether nothing was spawned, or everything has ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.request.is_empty()
    }
}
