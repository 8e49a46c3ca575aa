//! One TLS configuration for everything that leaves this process.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Mozilla's roots and the ring provider: no file is read, no random pool is warmed
/// (a platform verifier costs 3 to 10 ms of every cold start). `alpn` names the protocols
/// that the peer may choose from.
pub fn client_config(alpn: &[&[u8]]) -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// The client for models and embeddings. Time limits are set per request; redirects are not
/// followed, because a key in a header must not follow one.
pub fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(&[b"h2", b"http/1.1"]))
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_mins(1))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("lectern/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("the client is built from constants")
}
