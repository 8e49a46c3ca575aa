//! Keeping an exchange: in Postgres, or where it waits for Postgres.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    App, Error, Result,
    conversations::{
        Exchange, Status,
        fallback::Fallback,
        store::{self, Saved},
    },
};

/// How long an answer waits for its save. Above the store's own lock timeout, so that a
/// crowd at one reader's door is waited out.
const PATIENCE: Duration = Duration::from_secs(6);

/// What a save gets in any case: it begins when the answer is there, and that may be at the
/// very deadline. Less than the two seconds that the platform gives us after it.
const FAREWELL: Duration = Duration::from_millis(1500);

/// What became of an exchange.
pub(super) struct Kept {
    /// Whether it is in the database.
    pub saved: bool,
    /// Whether the database was away.
    pub away: bool,
    /// The conversation that it is in, if it is in one.
    pub conversation: Option<Uuid>,
}

/// Stores a finished exchange with its log row; `away` skips a database that has just failed.
pub(super) async fn finished(
    app: &App,
    exchange: &Exchange,
    away: bool,
    deadline: Instant,
) -> Kept {
    if !away {
        match store(app, exchange, deadline).await {
            Ok(Saved { conversation, .. }) => {
                return Kept { saved: conversation.is_some(), away, conversation };
            }
            Err(err) => {
                tracing::error!(cause = err.chain(), "an exchange could not be stored");
            }
        }
    }
    wait_elsewhere(app, exchange).await;
    Kept { saved: false, away: true, conversation: exchange.conversation_id }
}

/// Stores what there is of an answer that failed. Without any text its status stays what it
/// was: whether the question alone is worth keeping is its own business.
pub(super) async fn failed(
    app: &App,
    mut exchange: Exchange,
    err: &Error,
    away: bool,
    deadline: Instant,
) {
    exchange.answered_at = OffsetDateTime::now_utc();
    exchange.error_code = Some(err.code().to_owned());
    if !exchange.answer.is_empty() {
        exchange.status = Status::Interrupted;
    }
    finished(app, &exchange, away, deadline).await;
}

async fn store(app: &App, exchange: &Exchange, deadline: Instant) -> Result<Saved> {
    let db = app.db().await?;
    let left = deadline.saturating_duration_since(Instant::now());
    let patience = left.clamp(FAREWELL, PATIENCE);
    let saved = tokio::time::timeout(patience, store::save_answer(db, exchange, None));
    saved.await.unwrap_or(Err(Error::Timeout))
}

async fn wait_elsewhere(app: &App, exchange: &Exchange) {
    let outcome = async {
        match Fallback::from_env(app.env())? {
            Some(fallback) => fallback.keep(exchange).await.map(|()| true),
            None => Ok(false),
        }
    };
    match outcome.await {
        Ok(true) => {
            tracing::warn!(id = %exchange.id, "an exchange waits for `lectern replay`");
        }
        Ok(false) => {
            tracing::error!(id = %exchange.id, "an exchange is lost: no FALLBACK_STORAGE");
        }
        Err(err) => {
            tracing::error!(id = %exchange.id, cause = err.chain(), "an exchange is lost");
        }
    }
}
