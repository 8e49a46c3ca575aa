//! `lectern replay`: brings the exchanges home that waited while Postgres was away.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its terminal"
)]

use std::{io, path::Path};

use shared::{
    Error,
    config::Env,
    conversations::{Exchange, fallback::Fallback, store},
    db::Pool,
};

use crate::Outcome;

/// Bring home the exchanges that waited in `FALLBACK_STORAGE`, each exactly once.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where they wait, instead of `FALLBACK_STORAGE`
    #[arg(long, value_name = "file:DIR")]
    from: Option<String>,
}

/// What became of the exchanges that waited.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the database now, the file gone.
    pub home: usize,
    /// Of these, the ones whose conversation belongs to nobody any more or to somebody else;
    /// they got one of their own.
    pub rehoused: usize,
    /// Still waiting: the file and why.
    pub failed: Vec<(String, String)>,
}

/// Runs the subcommand.
pub async fn run(args: Args, env: Env) -> Outcome {
    let from = match &args.from {
        Some(value) => Fallback::parse(value).map_err(|_| "--from: write file:DIR")?,
        None => Fallback::from_env(&env)?
            .ok_or("say where they wait: FALLBACK_STORAGE or --from file:DIR")?,
    };
    let report = replay(&env, &from).await?;
    println!("brought home: {}", report.home);
    if report.rehoused > 0 {
        println!("of these in a conversation of their own: {}", report.rehoused);
    }
    for (file, why) in &report.failed {
        eprintln!("still waiting: {file}: {why}");
    }
    match report.failed.len() {
        0 => Ok(()),
        n => Err(format!("{n} could not be brought home").into()),
    }
}

/// Stores what waits, oldest first, each with its own time, and goes on after a failure.
/// A file is removed only after its exchange was committed; an exchange that is in the
/// database already is not stored twice.
pub async fn replay(env: &Env, from: &Fallback) -> Outcome<Report> {
    let db = Pool::from_env(env)?;
    let mut report = Report::default();
    for file in from.waiting().await? {
        match home(&db, from, &file).await {
            Ok(rehoused) => {
                report.home += 1;
                report.rehoused += usize::from(rehoused);
            }
            Err(why) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                report.failed.push((name.into_owned(), why));
            }
        }
    }
    Ok(report)
}

/// Brings one home; whether it needed a conversation of its own.
async fn home(db: &Pool, from: &Fallback, file: &Path) -> Result<bool, String> {
    let mut exchange = from.read(file).await.map_err(|err| unreadable(&err))?;
    let rehoused = match save(db, &exchange).await {
        // Nobody could look when it was answered. The reader's words are kept all the same,
        // under an id that is the same at every attempt.
        Err(Error::NotFound(_)) => {
            exchange.conversation_id = Some(exchange.question_id);
            save(db, &exchange).await.map(|()| true)
        }
        other => other.map(|()| false),
    };
    let rehoused = rehoused.map_err(|err| match err {
        Error::Unauthorized => "the account is gone".to_owned(),
        err => err.chain(),
    })?;
    from.done(file).await.map_err(|err| format!("it is home but not removed: {err}"))?;
    Ok(rehoused)
}

async fn save(db: &Pool, exchange: &Exchange) -> shared::Result<()> {
    store::save(db, exchange, Some(exchange.answered_at)).await.map(|_| ())
}

/// Without the parser's words, which may quote the file.
fn unreadable(err: &io::Error) -> String {
    match err.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            "it is not an exchange".to_owned()
        }
        _ => err.to_string(),
    }
}
