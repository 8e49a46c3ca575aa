//! Everything that Lectern's functions share.
//!
//! A request enters through [`http`], is understood by one room (`auth`, `chat`, …) and
//! leaves through [`http`] again. Rooms call only downwards: route files → `chat` →
//! {`conversations`, `retrieval`, `llm`, `auth`} → `db` → {`config`, `error`}.
//!
//! Beside that line stand [`app`], which hands every room its handles and so knows the rooms that
//! they open; [`http`], which asks `auth` who is calling and `wire` how its client reads an error;
//! and [`call`], `owner`, [`telemetry`] and [`tls`], which know no room.

pub mod app;
pub mod auth;
pub mod call;
pub mod chat;
pub mod config;
pub mod conversations;
pub mod db;
mod error;
pub mod http;
pub mod llm;
mod owner;
pub mod retrieval;
pub mod telemetry;
pub mod tls;
pub mod wire;

pub use app::App;
pub use error::{Error, FieldError, Result};

/// Every route of the bundle, for the dev server and the tests.
pub fn routes() -> http::Route {
    http::health::route()
        .merge(http::openapi::route())
        .merge(auth::register::route())
        .merge(auth::login::route())
        .merge(chat::send::route())
        .merge(chat::ai::route())
        .merge(chat::stream::route())
        .merge(chat::completions::route())
        .merge(chat::ui::route())
        .merge(chat::chatkit::route())
        .merge(conversations::save::route())
        .merge(conversations::own::route())
        .merge(retrieval::query::route())
}
