//! Logs: one line an event, JSON on the platforms, plain text elsewhere.
//!
//! What is never logged: passwords, tokens, keys, connection strings, emails, prompts,
//! questions and answers. Libraries are held at WARN whatever `LOG_LEVEL` says: some of them
//! print whole requests below it.

use std::panic::PanicHookInfo;

use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{Env, Platform};

/// Starts logging: a function to the standard output, where the platforms look, and a command
/// to the standard error. `LOG_LEVEL` is ERROR, WARN, INFO (default), DEBUG or, outside the
/// platforms, TRACE.
pub fn init(env: &Env, to: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let platform = env.platform();
    let asked = env.get("LOG_LEVEL").unwrap_or("INFO");
    let level = asked.parse::<Level>().ok();
    let refused = platform != Platform::Local && level == Some(Level::TRACE);
    let level = if refused { Level::INFO } else { level.unwrap_or(Level::INFO) };
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("shared", level)
        .with_target("tools", level);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(to);
    let started = if platform == Platform::Local {
        registry.with(lines.compact()).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
    };
    if started.is_err() {
        return;
    }
    if refused || asked.parse::<Level>().is_err() {
        tracing::warn!("LOG_LEVEL is not one that this platform may use; INFO is used");
    }
    std::panic::set_hook(Box::new(panicked));
}

/// The place of a panic, without its words: they may hold what a reader wrote.
fn panicked(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a panic was caught");
}
