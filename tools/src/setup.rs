//! `lectern setup`: what `dev` and the tests need from the system's packages.

#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

use shared::config::Env;

use crate::{Outcome, cluster};

/// `lectern setup`
#[derive(clap::Args)]
pub struct Args {
    /// Also what only the tests need: `PgBouncer`.
    #[arg(long)]
    tests: bool,
}

/// Installs what is missing; asks first on a terminal, never in CI.
pub fn run(args: &Args, env: &Env) -> Outcome {
    cluster::offer_install(env)?;
    if args.tests && cluster::on_path(env, "pgbouncer").is_none() {
        cluster::install(env, "pgbouncer")?;
    }
    println!("everything is there");
    Ok(())
}
