//! Every test that goes through a door of the bundle.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![expect(unreachable_pub, reason = "nobody outside sees a test, and `pub` reads better")]

mod alone;
mod auth;
mod chat;
mod conversations;
mod database;
mod ingest;
mod injection;
mod internal_save;
mod llm;
mod on_lambda;
mod on_vercel;
mod rag_query;
mod retrieval;
mod size;
mod support;
mod tidy;
