//! The edge: the only room that knows which platform is calling.
//!
//! Every platform turns what it received into an axum request, adds the [`Call`] that says
//! how long we may take, and hands it to the one router that [`mount`] builds.

mod cors;
mod edge;
pub mod extract;
pub mod health;
#[cfg(feature = "lambda")]
mod lambda;
pub mod local;
#[cfg(any(feature = "lambda", feature = "vercel"))]
mod nodelay;
mod objects;
pub mod openapi;
pub mod problem;
mod serve;
mod shape;
pub mod sse;
mod tasks;
#[cfg(feature = "vercel")]
mod vercel;

use axum::{Router, extract::State};

pub use self::{
    edge::mount,
    problem::Problem,
    serve::{Exit, serve},
};
use crate::App;
pub use crate::call::{Call, Tasks};

/// One or more routes that still want their app.
pub type Route = Router<&'static App>;

/// What a handler asks for to reach the app's handles.
pub type Ctx = State<&'static App>;
