//! Work that must be finished before the platform hears that a request is done.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The background tasks of one request. A platform freezes or stops a process once it
/// believes a request to be over, so nothing may be spawned elsewhere.
#[derive(Clone, Default)]
pub struct Tasks {
    request: TaskTracker,
    process: TaskTracker,
}

impl Tasks {
    /// Tasks that `process` counts too, for a server that drains before it ends.
    pub(super) fn counted_by(process: &TaskTracker) -> Self {
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

    /// The same body, whose end waits for the tasks.
    pub(super) fn hold(self, body: Body) -> Body {
        if self.request.is_empty() {
            return body;
        }
        Body::new(Held { body, done: Box::pin(self.done()), tasks_done: false })
    }
}

/// Reports its end only after the tasks have ended: Lambda freezes the process right after.
struct Held {
    body: Body,
    done: Pin<Box<dyn Future<Output = ()> + Send>>,
    tasks_done: bool,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            return Poll::Ready(Some(frame));
        }
        if !self.tasks_done {
            ready!(self.done.as_mut().poll(cx));
            self.tasks_done = true;
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.tasks_done && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
