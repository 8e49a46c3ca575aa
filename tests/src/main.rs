//! Every test that goes through a door of the bundle.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![expect(unreachable_pub, reason = "nobody outside sees a test, and `pub` reads better")]

mod ai;
mod alone;
mod auth;
mod chat;
mod chatkit;
mod conversations;
mod costs;
mod database;
mod doors;
mod edge;
mod eval;
mod golden;
mod history;
mod ingest;
mod ingest_books;
mod ingest_failures;
mod ingest_files;
mod ingest_killed;
mod injection;
mod internal_save;
mod llm;
mod on_lambda;
mod on_vercel;
mod openai;
mod openapi;
mod pooled;
mod rag_query;
mod report;
mod retrieval;
mod runs;
mod size;
mod support;
mod tidy;
mod ui;
