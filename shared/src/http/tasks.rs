//! A body that ends only after its request's work has.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use crate::call::Tasks;

/// The same body, whose end waits for the tasks.
pub(super) fn hold(tasks: Tasks, body: Body) -> Body {
    if tasks.is_idle() {
        return body;
    }
    Body::new(Held {
        body,
        body_done: false,
        done: Box::pin(tasks.done()),
        tasks_done: false,
    })
}

/// Reports its end only after the tasks have ended: Lambda freezes the process right after.
struct Held {
    body: Body,
    body_done: bool,
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
        // A body that has ended must not be asked again.
        if !self.body_done {
            if let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                return Poll::Ready(Some(frame));
            }
            self.body_done = true;
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
