//! Vercel Functions: `vercel_runtime`'s raw service (its axum feature buffers bodies and
//! cannot hold a request open).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
};
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use sync_wrapper::SyncWrapper;
use tokio::sync::oneshot;
use tower::{Service, ServiceExt};
use vercel_runtime::{AppState, Error, Request, Response, ResponseBody};

use super::{Exit, Tasks, nodelay};
use crate::config::Env;

/// Serves until SIGTERM, and then until every open answer is finished.
pub(super) async fn run(router: Router, env: &Env) -> Exit {
    let port = env.parse("VERCEL_DEV_PORT", 3000)?;
    vercel_runtime::run(Function { router, port }).await
}

#[derive(Clone)]
struct Function {
    router: Router,
    port: u16,
}

impl Service<(AppState, Request)> for Function {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (state, mut request): (AppState, Request)) -> Self::Future {
        nodelay::listeners(self.port);
        let router = self.router.clone();
        let tasks = Tasks::default();
        request.extensions_mut().insert(tasks.clone());
        let (gone, body_gone) = oneshot::channel::<()>();
        // Without this the platform hears that we are done when the head is ready, and may
        // stop the process in the middle of the answer.
        state.wait_until(async move {
            body_gone.await.ok();
            tasks.done().await;
        });
        Box::pin(async move {
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok(response.map(|body| {
                let body = Announced { body: SyncWrapper::new(body), _gone: gone };
                ResponseBody(body.map_err(Error::from).boxed())
            }))
        })
    }
}

/// A body that says when it is finished or dropped: its sender falls with it.
struct Announced {
    body: SyncWrapper<Body>,
    _gone: oneshot::Sender<()>,
}

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(self.body.get_mut()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
