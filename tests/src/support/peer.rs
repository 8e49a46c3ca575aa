//! A network peer that a test plays, on a thread of its own: it works beside any runtime.

use std::{net::TcpListener, thread::JoinHandle};

use axum::{Router, serve::ListenerExt};
use tokio::sync::oneshot;

/// Answers until it is dropped; then the port and every connection are closed.
pub(crate) struct Peer {
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Peer {
    /// Serves these routes.
    pub(crate) fn serve(listener: TcpListener, router: Router) -> Self {
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                // Small answers would wait for the peer's delayed acknowledgements.
                let listener = listener.tap_io(|it| it.set_nodelay(true).unwrap());
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { running: Some((stop, thread)) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.send(()).ok();
            thread.join().unwrap();
        }
    }
}
