//! What the `lectern` command does; one module a subcommand.

pub mod cluster;
pub mod dev;
pub mod env_file;
pub mod eval;
pub mod html_report;
pub mod ingest;
pub mod migrate;
pub mod prune;
pub mod replay;
pub mod report;
pub mod setup;
pub mod user;

/// How a subcommand ends. An error's words go to the terminal.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
