//! Finding the passages of the book that bear on a question.
//!
//! An index gives two ranked lists, a dense and a lexical leg; [`fuse`] makes one ranking of
//! them for every index, so that the order is the same wherever the book lies.

pub mod bm25;
mod book;
mod coverage;
pub mod embed;
pub mod fuse;
pub mod passage;
pub mod qdrant;
pub mod query;
mod quote;
mod rerank;
pub mod shelf;
pub mod tokens;

use std::time::Instant;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    book::{Book, Retriever},
    coverage::coverage,
    passage::Passage,
    quote::{LONGEST as LONGEST_QUOTE, Quote},
};

use self::tokens::Tokeniser;
use crate::{Error, Result};

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The question, as typed.
    pub text: String,
    /// Earlier questions of the same reader, oldest first. Only the last one is used.
    pub history: Vec<String>,
    /// How many passages to return, 1 to 50.
    pub top_k: usize,
    /// Which legs to ask.
    pub mode: Mode,
    /// Where to look.
    pub filter: Filter,
    /// When nobody waits any more, if ever. A peer that is silent gets half of the time that
    /// is left, so that the other half is there for what stands in for it.
    pub deadline: Option<Instant>,
}

impl Query {
    /// What a peer answers within half of the time that is left.
    async fn in_half_the_time<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(deadline) = self.deadline else { return work.await };
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        tokio::time::timeout(half, work).await.unwrap_or(Err(Error::Timeout))
    }
}

/// Which legs are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Both, fused.
    #[default]
    Hybrid,
    /// Embeddings only.
    Dense,
    /// BM25 only.
    Lexical,
}

/// Restricts a search to a part of the book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Pages whose path starts so, at a border of words: `ch04` finds `ch04-01.md`.
    pub path_prefix: Option<String>,
    /// The label that `lectern ingest --source` gave.
    pub source: Option<String>,
}

/// One leg: ids with their raw scores, best first, ties by id.
pub type Leg = Vec<(Uuid, f32)>;

/// A passage with its place in the ranking.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The passage.
    pub passage: Passage,
    /// The fused score (one leg alone: still its reciprocal rank).
    pub score: f64,
    /// Cosine, when the dense leg found it.
    pub dense: Option<f32>,
    /// BM25, when the lexical leg found it.
    pub lexical: Option<f32>,
}

/// What was found, best first, ties by id.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The passages.
    pub hits: Vec<Hit>,
    /// What was down: `qdrant`, `embeddings`, `reranker`.
    pub degraded: Vec<&'static str>,
    /// The version of the book that was searched; `None` for a collection that Lectern did
    /// not write.
    pub book_version: Option<String>,
    /// How words of the book that was searched are compared.
    pub tokeniser: Tokeniser,
    /// Milliseconds for embedding the question.
    pub embed_ms: u64,
    /// Milliseconds for searching.
    pub search_ms: u64,
}
