//! `lectern prune`: forgets log rows and idempotency keys that are past their time.
#![expect(clippy::print_stdout, reason = "a command talks to its terminal")]

use shared::{
    config::Env,
    db::{self, Pool},
};
use tokio_postgres::types::Type;

use crate::Outcome;

/// Forget log rows older than `LOG_RETENTION_DAYS` (90), and what else has expired.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// What a prune removed, in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Log rows.
    pub logs: i64,
    /// Idempotency keys past their 24 hours.
    pub keys: i64,
}

/// Runs the subcommand.
pub async fn run(_: Args, env: Env) -> Outcome {
    let Pruned { logs, keys } = prune(&env).await?;
    println!("removed {logs} log rows and {keys} idempotency keys");
    Ok(())
}

/// Removes what has expired. May run at any time and as often as one likes.
pub async fn prune(env: &Env) -> shared::Result<Pruned> {
    let days: i32 = env.parse("LOG_RETENTION_DAYS", 90)?;
    if days < 0 {
        return Err(shared::Error::Misconfigured("LOG_RETENTION_DAYS"));
    }
    let pool = Pool::from_env(env)?;
    db::retry(|| async {
        let client = pool.client().await?;
        let row = client
            .query_typed_one(
                "with logs as (
                   delete from interaction_logs
                   where request_timestamp < now() - make_interval(days => $1)
                   returning 1
                 ), keys as (
                   delete from idempotency_keys
                   where created_at < now() - interval '24 hours'
                   returning 1
                 )
                 select (select count(*) from logs), (select count(*) from keys)",
                &[(&days, Type::INT4)],
            )
            .await?;
        Ok(Pruned { logs: row.get(0), keys: row.get(1) })
    })
    .await
}
