//! What Postgres or the pool said, without anything that a user wrote, and whether it is
//! worth a second attempt.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::{Error, Result};

/// The cause behind `Unavailable { service: "database" }`.
#[derive(Debug)]
pub(super) struct Failure {
    again: Again,
    words: String,
}

/// When a connection of this process was last seen to die.
static LAST_LOSS: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether a connection died after this moment. What kills one (a restart, a freeze, a pooler
/// that goes away) mostly kills all, and the news reaches each of them at its own time; so
/// none that is older than a loss is trusted, and a second attempt gets a new one.
pub(super) fn a_loss_since(made: Instant) -> bool {
    LAST_LOSS.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at >= made)
}

/// Why a second attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The connection died; whether the statement was carried out is unknown.
    Lost,
    /// A deadlock or a serialisation failure: the transaction was rolled back whole.
    Conflict,
    /// It would fail again, or make an overload worse.
    No,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Failure {}

impl From<tokio_postgres::Error> for Failure {
    fn from(err: tokio_postgres::Error) -> Self {
        let again = match err.code().map(SqlState::code) {
            Some("57P01" | "57P02" | "57P03") => Again::Lost,
            Some(code) if code.starts_with("08") => Again::Lost,
            Some("40001" | "40P01") => Again::Conflict,
            None if err.is_closed() => Again::Lost,
            _ => Again::No,
        };
        if again == Again::Lost {
            LAST_LOSS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .replace(Instant::now());
        }
        Self { again, words: words(&err) }
    }
}

impl From<PoolError> for Failure {
    fn from(err: PoolError) -> Self {
        let no = |words: &str| Self { again: Again::No, words: words.to_owned() };
        match err {
            PoolError::Backend(err) => Self { again: Again::No, ..err.into() },
            PoolError::Timeout(TimeoutType::Wait) => {
                no("no connection became free in time")
            }
            PoolError::Timeout(TimeoutType::Create) => no("connecting took too long"),
            PoolError::Timeout(TimeoutType::Recycle) => {
                no("a connection did not come back")
            }
            other => no(&other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(err: tokio_postgres::Error) -> Self {
        Self::unavailable("database", Failure::from(err))
    }
}

impl From<PoolError> for Error {
    fn from(err: PoolError) -> Self {
        Self::unavailable("database", Failure::from(err))
    }
}

/// SQLSTATE and, where it cannot repeat a value, the message. A unique violation's detail
/// quotes the row, a cast's message the text, a login's the name: those give the code only.
fn words(err: &tokio_postgres::Error) -> String {
    let Some(db) = err.as_db_error() else {
        let cause = std::error::Error::source(err).map(|it| format!(": {it}"));
        return format!("{err}{}", cause.unwrap_or_default());
    };
    let code = db.code().code();
    let message = match code.get(..2) {
        Some(
            "08" | "25" | "26" | "40" | "42" | "53" | "55" | "57" | "58" | "P0" | "XX",
        ) => Some(db.message()),
        _ => db.constraint(),
    };
    format!("SQLSTATE {code}{}", message.map(|it| format!(": {it}")).unwrap_or_default())
}

/// A connect that failed, for a reason that may pass at once. A refused login or a full
/// server (53300) stays as it is, and a time-out has used up the patience already.
pub(super) fn nothing_was_sent(err: &PoolError) -> bool {
    match err {
        PoolError::Backend(err) => match err.code().map(SqlState::code) {
            None => true,
            Some(code) => code.starts_with("08") || code.starts_with("57P0"),
        },
        _ => false,
    }
}

/// Runs `work`, and once more if the connection died under it or a deadlock rolled it back.
/// Only for reads and for writes that may happen twice: after a lost connection nobody knows
/// whether the first attempt was carried out.
pub async fn retry<T, F>(mut work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    match work().await {
        Err(err) if again(&err) != Again::No => {
            tracing::warn!(cause = %err.chain(), "asking the database once more");
            work().await
        }
        other => other,
    }
}

fn again(err: &Error) -> Again {
    match err {
        Error::Unavailable { source, .. } => {
            source.downcast_ref::<Failure>().map_or(Again::No, |it| it.again)
        }
        _ => Again::No,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often `retry` calls work that fails like this, and what comes of it when the
    /// second attempt works.
    async fn attempts(again: Again) -> (usize, Result<()>) {
        let calls = Cell::new(0);
        let outcome = retry(|| async {
            calls.set(calls.get() + 1);
            if calls.get() == 2 {
                return Ok(());
            }
            let failure = Failure { again, words: "it failed".to_owned() };
            Err(Error::unavailable("database", failure))
        });
        let outcome = outcome.await;
        (calls.get(), outcome)
    }

    #[tokio::test]
    async fn a_lost_connection_and_a_deadlock_are_tried_once_more() {
        assert!(matches!(attempts(Again::Lost).await, (2, Ok(()))));
        assert!(matches!(attempts(Again::Conflict).await, (2, Ok(()))));
    }

    #[tokio::test]
    async fn what_would_fail_again_is_not_retried() {
        assert!(matches!(attempts(Again::No).await, (1, Err(_))));
    }

    #[tokio::test]
    async fn a_second_failure_is_the_answer() {
        let calls = Cell::new(0);
        let outcome: Result<()> = retry(|| async {
            calls.set(calls.get() + 1);
            let failure = Failure { again: Again::Lost, words: "it died".to_owned() };
            Err(Error::unavailable("database", failure))
        })
        .await;
        assert!(outcome.is_err());
        assert_eq!(calls.get(), 2);
    }
}
