//! Server-sent events, written so that nothing on the way holds them back.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use uuid::Uuid;

/// How long a stream may be silent before a comment says that we are still there: proxies
/// and phones close what they believe dead.
const PING_EVERY: Duration = Duration::from_secs(10);

/// One event: JSON, and where a client is to say that it has read it.
pub struct Frame {
    /// Its name in the stream, on one line.
    pub id: Option<String>,
    /// The payload, on one line.
    pub data: String,
}

impl From<String> for Frame {
    fn from(data: String) -> Self {
        Self { id: None, data }
    }
}

impl Frame {
    fn spelt(self) -> String {
        let id = self.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        format!("{id}data: {}\n\n", self.data)
    }
}

/// A stream of JSON payloads as `data:` events. It never fails: what can go wrong is an
/// event too.
pub fn response<F: Into<Frame>>(
    frames: impl Stream<Item = F> + Send + 'static,
) -> Response {
    let chunks = with_pings(frames.map(|it| it.into().spelt()).boxed());
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(chunks.map(Ok::<_, Infallible>))).into_response()
}

/// Says in a header which answer a response brings: `x-message-id`.
pub fn named(message_id: Uuid, response: Response) -> Response {
    with_id("x-message-id", message_id, response)
}

/// Says in a header where the answer will be kept: `x-conversation-id`.
pub fn kept_in(conversation: Uuid, response: Response) -> Response {
    with_id("x-conversation-id", conversation, response)
}

fn with_id(header: &'static str, id: Uuid, mut response: Response) -> Response {
    let id = HeaderValue::try_from(id.to_string()).expect("a UUID is ASCII");
    response.headers_mut().insert(HeaderName::from_static(header), id);
    response
}

/// One newline after the comment: two would be an (empty) event to some readers.
fn with_pings(
    events: stream::BoxStream<'static, String>,
) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(events, |mut events| async {
        match tokio::time::timeout(PING_EVERY, events.next()).await {
            Ok(Some(event)) => Some((Bytes::from(event), events)),
            Ok(None) => None,
            Err(_) => Some((Bytes::from_static(b": ping\n"), events)),
        }
    })
}
