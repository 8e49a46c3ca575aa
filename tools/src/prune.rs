//! `lectern prune`: forgets log rows, idempotency keys and runs that are past their time.
#![expect(clippy::print_stdout, reason = "a command talks to its terminal")]

use shared::{
    config::Env,
    conversations::runs::{self, Lapsed},
    db::{self, Pool},
};
use tokio_postgres::types::Type;

use crate::Outcome;

/// Forget log rows older than `LOG_RETENTION_DAYS` (90), and what else has expired.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// What a prune removed, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Log rows.
    pub logs: i64,
    /// Idempotency keys past their 24 hours.
    pub keys: i64,
    /// Runs past their hour.
    pub runs: u64,
    /// Answers that had lost their maker, and are now in the history as far as they came.
    pub brought_home: usize,
}

/// Runs the subcommand.
pub async fn run(_: Args, env: Env) -> Outcome {
    let Pruned { logs, keys, runs, brought_home } = prune(&env).await?;
    println!("removed {logs} log rows, {keys} idempotency keys and {runs} ended runs");
    if brought_home > 0 {
        println!("brought {brought_home} interrupted answers home");
    }
    Ok(())
}

/// Removes what has expired. May run at any time and as often as one likes.
pub async fn prune(env: &Env) -> shared::Result<Pruned> {
    let days: i32 = env.parse("LOG_RETENTION_DAYS", 90)?;
    if days < 0 {
        return Err(shared::Error::Misconfigured("LOG_RETENTION_DAYS"));
    }
    let pool = Pool::from_env(env)?;
    let mut brought_home = 0;
    while let found @ 1.. = runs::settle(&pool, Lapsed::All).await? {
        brought_home += found;
    }
    let runs = runs::forget(&pool).await?;
    let (logs, keys) = db::retry(|| async {
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
        Ok((row.get(0), row.get(1)))
    })
    .await?;
    Ok(Pruned { logs, keys, runs, brought_home })
}
