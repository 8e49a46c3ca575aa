//! Opening one connection, with one round trip less where the server allows it.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::{ConfigConnectImpl, Connect};
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Config, Error,
    config::{SslMode, SslNegotiation},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls;

/// Connects with TLS from the first byte (`sslnegotiation=direct`) if told so, and the
/// ordinary way where a server turns out not to speak it (Postgres before 17, most poolers).
pub(super) struct Connector {
    inner: ConfigConnectImpl<MakeRustlsConnect>,
    direct: AtomicBool,
}

impl Connector {
    pub(super) fn new(direct: bool) -> Self {
        // Direct TLS needs the ALPN name; the ordinary way ignores it.
        let tls = MakeRustlsConnect::new(tls::client_config(&[b"postgresql"]));
        Self { inner: ConfigConnectImpl { tls }, direct: AtomicBool::new(direct) }
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let mut config = config.clone();
        Box::pin(async move {
            if !self.direct.load(Ordering::Relaxed) {
                return self.inner.connect(&config).await;
            }
            config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
            let refused = match self.inner.connect(&config).await {
                // It was understood; what Postgres itself says is the answer.
                Err(err) if err.code().is_none() => err,
                other => return other,
            };
            config.ssl_negotiation(SslNegotiation::Postgres);
            let connected = self.inner.connect(&config).await?;
            tracing::warn!(
                cause = %refused,
                "the database does not take TLS from the first byte; \
                 DATABASE_SSL_NEGOTIATION=postgres saves the attempt"
            );
            self.direct.store(false, Ordering::Relaxed);
            Ok(connected)
        })
    }
}
