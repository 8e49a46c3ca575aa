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

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// A server that hangs up on TLS from the first byte, as Postgres before 17 does, and
    /// knows no TLS at all.
    #[tokio::test]
    async fn a_server_that_hangs_up_on_direct_tls_is_asked_the_ordinary_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut hello = [0; 4096];
            let (mut stream, _) = listener.accept().unwrap();
            let length = stream.read(&mut hello).unwrap();
            drop(stream);
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(b"N").unwrap();
            (hello[..length].to_vec(), request)
        });
        let mut config = Config::new();
        config.host("localhost").hostaddr([127, 0, 0, 1].into()).port(port).user("u");
        config.ssl_mode(SslMode::Require);
        let connector = Connector::new(true);
        let err = connector.connect(&config).await.err().unwrap();
        assert_eq!(err.to_string(), "error performing TLS handshake");

        let (hello, request) = server.join().unwrap();
        assert_eq!(hello[0], 0x16, "a TLS handshake comes first");
        assert!(hello.windows(10).any(|it| it == b"postgresql"), "it names the protocol");
        assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "then an SSLRequest");
        // Nothing was learnt: a server that did not answer may do so next time.
        assert!(connector.direct.load(Ordering::Relaxed));
    }
}
