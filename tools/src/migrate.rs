//! `lectern migrate`: brings the database to the shape that this version expects.
#![expect(clippy::print_stdout, reason = "a command talks to its terminal")]

use std::fmt::Write;

use sha2::{Digest, Sha256};
use shared::{
    config::Env,
    db::{Client, Pool},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_postgres::types::Type;

use crate::Outcome;

/// Every migration, in order, inside the binary.
pub const FILES: &[(&str, &str)] = &[
    ("0001_first_tables", include_str!("../../migrations/0001_first_tables.sql")),
    ("0002_counters", include_str!("../../migrations/0002_counters.sql")),
    ("0003_feedback", include_str!("../../migrations/0003_feedback.sql")),
    ("0004_runs", include_str!("../../migrations/0004_runs.sql")),
    ("0005_client_ids", include_str!("../../migrations/0005_client_ids.sql")),
    ("0006_deleted_runs", include_str!("../../migrations/0006_deleted_runs.sql")),
];

/// Held by a transaction, not by a session, so that it also holds behind a pooler.
const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('lectern migrate', 0))";

/// Bring the database up to date.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show what was applied and what is missing; change nothing
    #[arg(long)]
    status: bool,
}

/// What `apply` did.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The files that it ran, in order.
    pub ran: Vec<&'static str>,
    /// What became of an earlier system's rows, in a sentence, if it found any just now.
    pub carried_over: Option<String>,
}

/// Runs the subcommand.
pub async fn run(args: Args, env: Env) -> Outcome {
    if args.status {
        return status(&env).await;
    }
    let applied = apply(&env).await?;
    for name in &applied.ran {
        println!("applied {name}");
    }
    if let Some(sentence) = applied.carried_over {
        println!("{sentence}");
    }
    if applied.ran.is_empty() {
        println!("nothing to do: the database is up to date");
    }
    Ok(())
}

/// Applies what is missing, each file in one transaction, one tool at a time. Fails on a file
/// that was changed after it was applied, and on a database whose tables are not ours.
pub async fn apply(env: &Env) -> Outcome<Applied> {
    let pool = Pool::direct(env)?;
    let client = pool.client().await?;
    let mut applied = Applied { ran: Vec::new(), carried_over: None };
    for (name, text) in FILES {
        client.batch_execute("begin").await.map_err(said)?;
        let outcome = one(&client, name, text).await;
        let end = if outcome.is_ok() { "commit" } else { "rollback" };
        client.batch_execute(end).await.map_err(said)?;
        if outcome? {
            applied.ran.push(name);
        }
    }
    if applied.ran.contains(&FILES[0].0) {
        applied.carried_over = carried_over(&client).await?;
    }
    Ok(applied)
}

/// One file inside an open transaction; whether it was new.
async fn one(client: &Client, name: &str, text: &str) -> Outcome<bool> {
    client.batch_execute(LOCK).await.map_err(said)?;
    client
        .batch_execute(
            "create table if not exists lectern_migrations (
               name text primary key,
               sha256 text not null,
               applied_at timestamptz not null default now())",
        )
        .await
        .map_err(said)?;
    let sha256 = hash(text);
    let noted = client
        .query_typed_opt(
            "select sha256::text from lectern_migrations where name = $1",
            &[(&name, Type::TEXT)],
        )
        .await
        .map_err(said)?;
    if let Some(row) = noted {
        if row.get::<_, &str>(0) != sha256 {
            return Err(format!(
                "{name} is not the file that was applied to this database; \
                 a change belongs into a new file"
            )
            .into());
        }
        return Ok(false);
    }
    client.batch_execute(body(text)).await.map_err(said)?;
    client
        .execute_typed(
            "insert into lectern_migrations (name, sha256) values ($1, $2)",
            &[(&name, Type::TEXT), (&sha256, Type::TEXT)],
        )
        .await
        .map_err(said)?;
    Ok(true)
}

/// What stands between the file's own `begin;` and `commit;`, which are there for psql.
fn body(text: &str) -> &str {
    let text = text.split_once("\nbegin;\n").map_or(text, |(_, after)| after);
    text.trim_end().strip_suffix("\ncommit;").unwrap_or(text)
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

/// Counts for the person who took over an earlier system's database.
async fn carried_over(client: &Client) -> Outcome<Option<String>> {
    let found = client
        .query_typed_one("select to_regclass('seed_users') is not null", &[])
        .await
        .map_err(said)?;
    if !found.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = client
        .query_typed_one(
            "select
               (select count(*) from users),
               (select count(*) from conversations),
               (select count(*) from interaction_logs)",
            &[],
        )
        .await
        .map_err(said)?;
    let count = |at: usize| row.get::<_, i64>(at);
    Ok(Some(format!(
        "carried over from the earlier system: {} accounts, {} conversations (the newest 50 of \
         each user), {} log rows; its own tables are kept as seed_users, seed_conversations \
         and seed_interaction_logs",
        count(0),
        count(1),
        count(2)
    )))
}

async fn status(env: &Env) -> Outcome {
    let pool = Pool::direct(env)?;
    let client = pool.client().await?;
    let known = client
        .query_typed_one("select to_regclass('lectern_migrations') is not null", &[])
        .await
        .map_err(said)?;
    let noted = if known.get(0) {
        client
            .query_typed(
                "select name::text, sha256::text, applied_at::timestamptz
                 from lectern_migrations
                 order by name",
                &[],
            )
            .await
            .map_err(said)?
    } else {
        Vec::new()
    };
    for (name, text) in FILES {
        match noted.iter().find(|row| row.get::<_, &str>(0) == *name) {
            None => println!("missing  {name}"),
            Some(row) => {
                let word = if row.get::<_, &str>(1) == hash(text) {
                    "applied"
                } else {
                    "CHANGED"
                };
                let at: OffsetDateTime = row.get(2);
                println!("{word}  {name}  {}", at.format(&Rfc3339)?);
            }
        }
    }
    for row in &noted {
        let name: &str = row.get(0);
        if FILES.iter().all(|(ours, _)| *ours != name) {
            println!("newer than this tool  {name}");
        }
    }
    Ok(())
}

/// What Postgres says about our own statements, which hold no value that a user wrote.
fn said(err: tokio_postgres::Error) -> String {
    match err.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => shared::Error::from(err).chain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_directory_is_inside_and_in_order() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
            .collect();
        names.sort();
        assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (at, name) in names.iter().enumerate() {
            assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name}");
        }
    }

    #[test]
    fn a_file_is_one_transaction_by_its_own_words() {
        for (name, text) in FILES {
            let inner = body(text);
            assert!(text.starts_with("-- "), "{name}: first comes what it is for");
            assert!(
                text.contains("\nbegin;\n") && text.ends_with("\ncommit;\n"),
                "{name}"
            );
            assert!(
                !inner.contains("\nbegin;") && !inner.contains("\ncommit;"),
                "{name}"
            );
            assert!(inner.len() < text.len(), "{name}");
        }
    }
}
