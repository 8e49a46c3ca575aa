//! The `lectern` command.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use tools::{
    Outcome, dev, env_file, eval, ingest, migrate, prune, replay, report, setup, user,
};

/// Answers readers' questions from a book.
#[derive(Parser)]
#[command(version)]
struct Lectern {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything on this machine, with a database and a book of its own.
    Dev(dev::Args),
    /// Bring the database to the newest form of its tables.
    Migrate(migrate::Args),
    /// Read a book and make it ready to be asked.
    Ingest(ingest::Args),
    /// Measure with questions how well the book is found and answered from.
    Eval(eval::Args),
    /// What readers ask, what the book does not answer, and what it costs.
    Report(report::Args),
    /// Bring home the exchanges that waited while the database was away.
    Replay(replay::Args),
    /// Delete log rows older than `LOG_RETENTION_DAYS` (90), and expired idempotency keys.
    Prune(prune::Args),
    /// Look after accounts.
    User(user::Args),
    /// Install what `dev` and the tests need from the system's packages.
    Setup(setup::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = Lectern::parse().command;
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            anstream::eprintln!("lectern: {}", told(&*err));
            ExitCode::FAILURE
        }
    }
}

/// Whoever sits at the terminal may read the causes that no caller is told.
fn told(err: &(dyn Error + Send + Sync + 'static)) -> String {
    match err.downcast_ref() {
        Some(err @ shared::Error::Misconfigured(_)) => {
            format!("{err}; it is read from the environment and from .env")
        }
        Some(err) => err.chain(),
        None => err.to_string(),
    }
}

async fn run(command: Command) -> Outcome {
    let env = env_file::load()?;
    if !matches!(command, Command::Dev(_)) {
        let quiet = env.get("LOG_LEVEL").is_none();
        let env = if quiet { env.clone().with("LOG_LEVEL", "WARN") } else { env.clone() };
        shared::telemetry::init(&env, std::io::stderr);
    }
    match command {
        Command::Dev(args) => dev::run(args, env).await,
        Command::Migrate(args) => migrate::run(args, env).await,
        Command::Ingest(args) => ingest::run(args, env).await,
        Command::Eval(args) => eval::run(args, env).await,
        Command::Report(args) => report::run(args, env).await,
        Command::Replay(args) => replay::run(args, env).await,
        Command::Prune(args) => prune::run(args, env).await,
        Command::User(args) => user::run(args, env).await,
        Command::Setup(args) => setup::run(&args, &env),
    }
}
