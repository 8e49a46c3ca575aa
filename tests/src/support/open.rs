//! An answer of the router that is still coming.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::{Reply, binaries::PATIENCE, client::Events, openapi};

/// How long a probe that finds nothing waits before it looks again.
const LOOK: Duration = Duration::from_millis(5);

/// A body that is read as far as the test wants; dropping it is hanging up.
pub(crate) struct Open {
    /// The run, as `X-Message-Id` names it.
    pub(crate) id: String,
    /// Where it will be kept, if `X-Conversation-Id` says so.
    pub(crate) conversation: String,
    /// Every event so far.
    pub(crate) found: Vec<Value>,
    /// How many of them `next` has given.
    given: usize,
    status: u16,
    headers: HeaderMap,
    body: Body,
    cut: Events,
    bytes: Vec<u8>,
    asked: (String, String, Bytes),
}

impl Open {
    /// Sends one request and takes the head of its answer.
    pub(crate) async fn send(router: &Router, request: Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let sent = body.collect().await.unwrap().to_bytes();
        let asked = (parts.method.to_string(), parts.uri.path().to_owned(), sent.clone());
        let request = Request::from_parts(parts, Body::from(sent));
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let named = |name: &str| {
            let value = head.headers.get(name).map(|it| it.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        Self {
            id: named("x-message-id"),
            conversation: named("x-conversation-id"),
            found: Vec::new(),
            given: 0,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            cut: Events::default(),
            bytes: Vec::new(),
            asked,
        }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Value {
        while self.given == self.found.len() {
            let chunk = self.chunk().await;
            let told = String::from_utf8_lossy(&self.bytes);
            let chunk = chunk.unwrap_or_else(|| panic!("{} {told}", self.status));
            self.found.extend(self.cut.push(&chunk));
        }
        self.given += 1;
        self.found[self.given - 1].clone()
    }

    /// The next event of this kind.
    pub(crate) async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().await;
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Everything, from the first byte to the end. Whatever it is, the API's description must
    /// know it.
    pub(crate) async fn rest(mut self) -> Reply {
        while self.chunk().await.is_some() {}
        let text = String::from_utf8(self.bytes).unwrap();
        let reply = Reply { status: self.status, headers: self.headers, text };
        let (method, path, sent) = self.asked;
        openapi::check(&method, &path, &sent, &reply);
        reply
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
        let chunk = frame.expect("something comes")?.unwrap().into_data();
        let chunk = chunk.unwrap_or_default();
        self.bytes.extend(&chunk);
        Some(chunk)
    }
}

/// What the probe finds at last.
pub(crate) async fn eventually<T>(mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it comes about")
}
