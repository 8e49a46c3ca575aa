//! The handles a route may ask for.

use std::sync::OnceLock;

use tokio::sync::OnceCell;

use crate::{
    Result,
    auth::{Access, Signer},
    config::Env,
    db::Pool,
    llm::Llm,
    retrieval::Book,
    tls,
};

/// Opened on first use: a function that never calls the model never needs its key, and
/// never pays for its connection. A handle that failed to open is tried again by the next
/// request.
#[derive(Default)]
pub struct App {
    env: Env,
    db: OnceCell<Pool>,
    llm: OnceCell<Llm>,
    book: OnceCell<Book>,
    signer: OnceCell<Signer>,
    access: OnceCell<Access>,
    http: OnceLock<reqwest::Client>,
}

impl App {
    /// An app that reads its settings from `env`, and nothing yet.
    pub fn new(env: Env) -> Self {
        Self { env, ..Self::default() }
    }

    /// The settings.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The pool of connections to Postgres; opening it sends nothing.
    pub async fn db(&self) -> Result<&Pool> {
        self.db.get_or_try_init(|| async { Pool::from_env(&self.env) }).await
    }

    /// The model that answers.
    pub async fn llm(&self) -> Result<&Llm> {
        self.llm.get_or_try_init(|| async { Llm::from_env(&self.env, self.http()) }).await
    }

    /// The book that is asked.
    pub async fn book(&self) -> Result<&Book> {
        self.book
            .get_or_try_init(|| async { Book::from_env(&self.env, self.http()) })
            .await
    }

    /// Signs and verifies our own tokens.
    pub async fn signer(&self) -> Result<&Signer> {
        self.signer.get_or_try_init(|| async { Signer::from_env(&self.env) }).await
    }

    /// Who may come in: the internal key, and whether guests may.
    pub async fn access(&self) -> Result<&Access> {
        self.access.get_or_try_init(|| async { Access::from_env(&self.env) }).await
    }

    /// One HTTP client for models and embeddings, with its pool of connections.
    pub fn http(&self) -> reqwest::Client {
        self.http.get_or_init(tls::http_client).clone()
    }
}
