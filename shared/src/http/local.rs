//! Alone: plain HTTP on `PORT`, for a container, a test or `make dev`.

use std::net::SocketAddr;

use axum::{Router, extract::Request, serve::ListenerExt};
use tokio::{net::TcpListener, signal::unix};
use tokio_util::task::TaskTracker;
use tower::{ServiceExt, service_fn};

use super::{Exit, Tasks};
use crate::{Error, config::Env};

/// Listens on 127.0.0.1:`PORT` (3000; `HOST` for another address) until SIGTERM or Ctrl-C.
pub(super) async fn run(router: Router, env: &Env) -> Exit {
    let host = env.get("HOST").unwrap_or("127.0.0.1");
    let port: u16 = env.parse("PORT", 3000)?;
    let address: SocketAddr =
        format!("{host}:{port}").parse().map_err(|_| Error::Misconfigured("HOST"))?;
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    serve(listener, router).await
}

/// Serves until SIGTERM or Ctrl-C, then finishes what was begun: open answers and the tasks
/// of clients that have gone.
pub async fn serve(listener: TcpListener, router: Router) -> Exit {
    let open = TaskTracker::new();
    let service = service_fn({
        let open = open.clone();
        move |mut request: Request| {
            request.extensions_mut().insert(Tasks::counted_by(&open));
            router.clone().oneshot(request)
        }
    });
    // Without this an answer's small chunks wait for the peer's delayed acknowledgements.
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let service = Router::new().fallback_service(service);
    axum::serve(listener, service).with_graceful_shutdown(stopped()).await?;
    open.close();
    open.wait().await;
    Ok(())
}

async fn stopped() {
    let Ok(mut terminate) = unix::signal(unix::SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
