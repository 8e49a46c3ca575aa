//! Connections to Postgres and their TLS; no tables.

mod connect;
mod failure;
mod flight;
mod statement;
mod url;

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, RecyclingMethod, Runtime, Timeouts,
};

use self::{failure::Failure, url::Target};
pub use self::{failure::retry, statement::Params};
use crate::{
    Error, Result,
    config::{Env, Platform},
};

/// A peer that vanished without a word (a dropped NAT entry) cannot be told from a quiet one,
/// so connections that were idle for longer than this are thrown away unasked.
const IDLE_AT_MOST: Duration = Duration::from_mins(1);

/// A sleeping Neon compute needs a few hundred milliseconds to wake; anything shorter than
/// this would turn a cold start into an outage.
const CONNECT_AT_MOST: Duration = Duration::from_secs(5);

/// A small pool of connections.
pub struct Pool(deadpool_postgres::Pool);

/// A connection, borrowed from the pool for one flight of statements.
pub type Client = deadpool_postgres::Object;

impl Pool {
    /// Reads `NEON_DATABASE_URL` (wins) or `DATABASE_URL`, `DATABASE_SSL_NEGOTIATION`
    /// (`auto`, `direct` or `postgres`) and `DATABASE_POOL_SIZE` (connections: 1 on Lambda,
    /// which sends one request at a time, 4 elsewhere). Sends nothing.
    pub fn from_env(env: &Env) -> Result<Self> {
        let target = url::pooled(env)?;
        let usual = if env.platform() == Platform::Lambda { 1 } else { 4 };
        let size = target.connection_limit.unwrap_or(usual);
        Self::open(target, env.parse("DATABASE_POOL_SIZE", size)?.max(1))
    }

    /// One connection past any pooler, for migrations: `NEON_DATABASE_URL`, else
    /// `DATABASE_URL_UNPOOLED`, else `DATABASE_URL`; a Neon host loses its `-pooler`.
    pub fn direct(env: &Env) -> Result<Self> {
        Self::open(url::unpooled(env)?, 1)
    }

    fn open(target: Target, size: usize) -> Result<Self> {
        let Target { mut config, direct_tls, .. } = target;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_AT_MOST);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(5));
        }
        if config.get_application_name().is_none() {
            config.application_name("lectern");
        }
        // `Fast` asks the server nothing: a round trip on every checkout is dear, and the
        // yields in `client` let a closed connection show itself for free.
        let manager = Manager::from_connect(
            config,
            connect::Connector::new(direct_tls),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let timeouts = Timeouts {
            // As long as a save waits for its lock: a burst of saves of one user, each of which
            // waits for the one before it, must not turn into refusals on a busy machine.
            wait: Some(Duration::from_secs(5)),
            create: Some(CONNECT_AT_MOST),
            recycle: Some(Duration::from_millis(500)),
        };
        deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .pre_recycle(Hook::sync_fn(|_, metrics| {
                if metrics.last_used() > IDLE_AT_MOST {
                    Err(HookError::message("idle for too long"))
                } else if failure::a_loss_since(metrics.created) {
                    Err(HookError::message("another one died since it was made"))
                } else {
                    Ok(())
                }
            }))
            .build()
            .map(Self)
            .map_err(|err| Error::Internal(format!("the pool was not built: {err}")))
    }

    /// A connection. A connect that failed is tried once more: nothing was sent yet.
    /// Ask for one at a time: with a pool of one, a second would wait for the first.
    pub async fn client(&self) -> Result<Client> {
        // After a freeze the first yield lets the runtime see that a socket was closed, the
        // second lets the connection's task act on it; then the pool makes a new one.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        match self.0.get().await {
            Err(err) if failure::nothing_was_sent(&err) => {
                tracing::warn!(cause = %Failure::from(err), "connecting again");
                Ok(self.0.get().await?)
            }
            other => Ok(other?),
        }
    }

    /// Whether the database answers at all, in one round trip.
    pub async fn check(&self) -> Result<()> {
        self.query_typed_one("select 1", &[]).await.map(drop)
    }
}
