//! The book, ready to be asked: which index, whether embeddings can help, what is down.

use std::time::Instant;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    Found, Hit, Leg, Mode, Passage, Query, bm25,
    embed::Embedder,
    fuse::{self, Fusion},
    qdrant,
    rerank::{self, Reranker},
    shelf::{Place, Shelf},
    tokens::Tokeniser,
};
use crate::{Error, Result, config::Env};

/// Each leg brings at least so many passages to the fusion.
const LEG: usize = 50;

/// Where the passages lie.
pub enum Retriever {
    /// A collection in Qdrant.
    Qdrant(qdrant::Collection),
    /// One file beside the function, searched in this process.
    Shelf(Place),
}

/// The book, ready to be asked.
pub struct Book {
    index: Retriever,
    /// Answers while Qdrant is down.
    spare: Option<Place>,
    embedder: Option<Embedder>,
    fusion: Fusion,
    reranker: Option<Reranker>,
    base_url: Option<String>,
}

/// What an index says of itself, as far as asking it goes.
struct Nature<'a> {
    /// `None` when it has no lexical leg: a collection that Lectern did not write.
    language: Option<&'a str>,
    /// `None` when it does not say which model made its vectors.
    embedding_model: Option<&'a str>,
    /// 0 when it has no vectors.
    dimension: usize,
}

/// A question in the two languages of an index.
struct Asked {
    dense: Option<Vec<f32>>,
    lexical: Vec<(u32, f32)>,
    /// Embeddings were wanted, and are not there.
    is_degraded: bool,
    embed_ms: u64,
}

/// The embedding of one question: made at most once, also when two indexes are asked.
/// `None` inside when the provider failed.
type Embedding = OnceCell<Option<Vec<f32>>>;

impl Book {
    /// Reads `QDRANT_URL` …, `BOOK_SHELF`, `BOOK_BASE_URL`, `FUSION_*` and the embedding
    /// settings. Opens no connection and no file.
    pub fn from_env(env: &Env, http: reqwest::Client) -> Result<Self> {
        let shelf = Place::from_env(env);
        let (index, spare) = if env.get("QDRANT_URL").is_some() {
            (Retriever::Qdrant(qdrant::Collection::from_env(env)?), Some(shelf))
        } else {
            (Retriever::Shelf(shelf), None)
        };
        let base_url = env.get("BOOK_BASE_URL").map(|base| base.trim_end_matches('/'));
        let is_address = |base: &str| {
            let starts = ["http://", "https://", "/"];
            base.is_empty() || starts.iter().any(|it| base.starts_with(it))
        };
        if base_url.is_some_and(|base| !is_address(base)) {
            return Err(Error::Misconfigured("BOOK_BASE_URL"));
        }
        Ok(Self {
            index,
            spare,
            embedder: Embedder::from_env(env, http.clone())?,
            reranker: Reranker::from_env(env, http)?,
            fusion: Fusion::from_env(env)?,
            base_url: base_url.map(str::to_owned),
        })
    }

    /// The passages that bear on a question.
    ///
    /// While Qdrant is down the shelf answers, if there is one (`degraded: qdrant`); without
    /// embeddings where the book has some the words alone are asked
    /// (`degraded: embeddings`). `Unavailable` only when no index can be asked. With a
    /// reranker the best of a hybrid search are put into its order; without it, when it is
    /// down, they stay in theirs (`degraded: reranker`).
    pub async fn find(&self, query: &Query) -> Result<Found> {
        let reranker = self.reranker.as_ref().filter(|_| query.mode == Mode::Hybrid);
        let Some(reranker) = reranker else { return self.search(query).await };
        let deep = Query { top_k: query.top_k.max(rerank::DEPTH), ..query.clone() };
        let mut found = self.search(&deep).await?;
        let asked = reranker.reorder(&query.text, found.hits.clone());
        match query.in_half_the_time(asked).await {
            Ok(hits) => found.hits = hits,
            Err(err) => {
                tracing::warn!(error = err.chain(), "passages stay in their fused order");
                found.degraded.push("reranker");
            }
        }
        found.hits.truncate(query.top_k);
        Ok(found)
    }

    async fn search(&self, query: &Query) -> Result<Found> {
        let embedding = Embedding::new();
        let collection = match &self.index {
            Retriever::Shelf(place) => {
                return self.ask_shelf(&*place.current()?, query, &embedding).await;
            }
            Retriever::Qdrant(collection) => collection,
        };
        let spare = self.spare.as_ref().filter(|it| it.exists());
        let asking = Box::pin(self.ask_qdrant(collection, query, &embedding));
        let answer = match spare {
            Some(_) => query.in_half_the_time(asking).await,
            None => asking.await,
        };
        let failure = match answer {
            Err(err) if is_outage(&err) => err,
            answer => return answer,
        };
        let Some(place) = spare else { return Err(failure) };
        tracing::warn!(error = failure.chain(), "the shelf answers in Qdrant's place");
        let Ok(spare) = place.current() else { return Err(failure) };
        let mut found = self.ask_shelf(&spare, query, &embedding).await?;
        found.degraded.insert(0, "qdrant");
        Ok(found)
    }

    /// Where a reader opens the passage; `None` while `BOOK_BASE_URL` is unknown. An address
    /// that a foreign collection brings whole is taken as it is.
    pub fn url(&self, passage: &Passage) -> Option<String> {
        let link = passage.link.as_str();
        if link.starts_with("https://") || link.starts_with("http://") {
            return Some(encode(link, FRAGMENT));
        }
        if link.is_empty() && passage.path.is_empty() {
            return None;
        }
        let base = self.base_url.as_deref()?;
        let (page, anchor) = match link.split_once('#') {
            Some((page, anchor)) => (page, Some(anchor)),
            None => (link, None),
        };
        let mut url = format!("{base}/{}", encode(page.trim_start_matches('/'), PATH));
        if let Some(anchor) = anchor {
            url.push('#');
            url.push_str(&encode(anchor, FRAGMENT));
        }
        Some(url)
    }

    /// Asks the index whether it is there, for `GET /health?deep=1`.
    pub async fn check(&self) -> Result<()> {
        match &self.index {
            Retriever::Qdrant(collection) => collection.check().await,
            Retriever::Shelf(place) => place.current().map(drop),
        }
    }

    async fn ask_shelf(
        &self,
        index: &Shelf,
        query: &Query,
        embedding: &Embedding,
    ) -> Result<Found> {
        let header = index.header();
        let nature = Nature {
            language: Some(&header.language),
            embedding_model: header.embedding_model.as_deref(),
            dimension: header.dimension as usize,
        };
        let asked = self.ask(query, &nature, embedding).await?;
        let begin = Instant::now();
        let limit = LEG.max(query.top_k);
        let deep = limit + fuse::SLACK;
        let dense = asked.dense.as_deref().unwrap_or_default();
        let dense = fuse::settle(index.dense(dense, &query.filter, deep), limit);
        let lexical = index.lexical(&asked.lexical, &query.filter, deep);
        let lexical = fuse::settle(lexical, limit);
        Ok(Found {
            hits: self.rank(&dense, &lexical, query.top_k, |id| index.passage(id)),
            degraded: asked.degraded(),
            book_version: Some(header.book_version.clone()),
            tokeniser: Tokeniser::new(&header.language),
            embed_ms: asked.embed_ms,
            search_ms: milliseconds(begin),
        })
    }

    async fn ask_qdrant(
        &self,
        collection: &qdrant::Collection,
        query: &Query,
        embedding: &Embedding,
    ) -> Result<Found> {
        let begin = Instant::now();
        let info = collection.info().await?;
        let edition = info.edition.as_ref();
        let nature = Nature {
            language: edition.map(|it| it.language.as_str()),
            embedding_model: edition.and_then(|it| it.embedding_model.as_deref()),
            dimension: info.dense.as_ref().map_or(0, |(_, length)| *length),
        };
        let asked = self.ask(query, &nature, embedding).await?;
        let limit = LEG.max(query.top_k);
        let dense = asked.dense.as_deref();
        let deep = limit + fuse::SLACK;
        let mut legs =
            collection.legs(dense, &asked.lexical, &query.filter, deep).await?;
        let found_dense = fuse::settle(std::mem::take(&mut legs.dense), limit);
        let found_lexical = fuse::settle(std::mem::take(&mut legs.lexical), limit);
        let take = |id: &Uuid| legs.passages.remove(id);
        Ok(Found {
            hits: self.rank(&found_dense, &found_lexical, query.top_k, take),
            degraded: asked.degraded(),
            book_version: legs.book_version,
            tokeniser: nature.language.map(Tokeniser::new).unwrap_or_default(),
            embed_ms: asked.embed_ms,
            search_ms: milliseconds(begin).saturating_sub(asked.embed_ms),
        })
    }

    /// Puts the question into the terms of an index.
    async fn ask(
        &self,
        query: &Query,
        index: &Nature<'_>,
        embedding: &Embedding,
    ) -> Result<Asked> {
        let begin = Instant::now();
        let previous = query.history.last().map(String::as_str);
        let (mut dense, mut is_degraded) = (None, false);
        if query.mode != Mode::Lexical {
            dense = self.vector(query, previous, index, embedding).await;
            // A book that was ingested without embeddings is complete without them.
            let expected = index.dimension > 0 || query.mode == Mode::Dense;
            is_degraded = dense.is_none() && expected;
        }
        let embed_ms = milliseconds(begin);
        let Some(language) = index.language else {
            return match (dense, &self.embedder) {
                (Some(dense), _) => Ok(Asked {
                    dense: Some(dense),
                    lexical: vec![],
                    is_degraded,
                    embed_ms,
                }),
                _ if query.mode == Mode::Lexical => {
                    let why =
                        "is not possible in a collection that Lectern did not write";
                    Err(Error::invalid("mode", why))
                }
                (None, Some(_)) => {
                    let why =
                        "a collection of dense vectors cannot be asked without them";
                    Err(Error::unavailable("embeddings", why))
                }
                (None, None) => Err(Error::Misconfigured("EMBEDDING_PROVIDER")),
            };
        };
        // Words step in for meaning when only meaning was asked for and cannot be had.
        let words_wanted = query.mode != Mode::Dense || dense.is_none();
        let lexical = if words_wanted {
            bm25::query(&Tokeniser::new(language), &query.text, previous)
        } else {
            Vec::new()
        };
        Ok(Asked { dense, lexical, is_degraded, embed_ms })
    }

    /// The embedding of the question, if the index can be asked with it.
    async fn vector(
        &self,
        query: &Query,
        previous: Option<&str>,
        index: &Nature<'_>,
        embedding: &Embedding,
    ) -> Option<Vec<f32>> {
        let embedder = self.embedder.as_ref()?;
        if index.dimension == 0 {
            tracing::debug!("the book was ingested without embeddings");
            return None;
        }
        if index.embedding_model.is_some_and(|model| model != embedder.model()) {
            tracing::error!(
                setting = "EMBEDDING_MODEL",
                "the book was ingested with another model: ingest again"
            );
            return None;
        }
        let ask = || async {
            let text = standalone(&query.text, previous);
            let answer = query.in_half_the_time(embedder.question(&text));
            answer
                .await
                .inspect_err(|err| {
                    tracing::warn!(error = err.chain(), "words alone are searched");
                })
                .ok()
        };
        let vector = embedding.get_or_init(ask).await.clone()?;
        if vector.len() != index.dimension {
            tracing::error!(
                setting = "EMBEDDING_MODEL",
                expected = index.dimension,
                found = vector.len(),
                "the embedding has another dimension than the book: ingest again"
            );
            return None;
        }
        Some(vector)
    }

    fn rank(
        &self,
        dense: &Leg,
        lexical: &Leg,
        top_k: usize,
        mut passage: impl FnMut(&Uuid) -> Option<Passage>,
    ) -> Vec<Hit> {
        let raw = |leg: &Leg, id: Uuid| leg.iter().find(|it| it.0 == id).map(|it| it.1);
        fuse::rank(dense, lexical, &self.fusion)
            .into_iter()
            .take(top_k)
            .filter_map(|(id, score)| {
                let (dense, lexical) = (raw(dense, id), raw(lexical, id));
                Some(Hit { passage: passage(&id)?, score, dense, lexical })
            })
            .collect()
    }
}

impl Asked {
    fn degraded(&self) -> Vec<&'static str> {
        if self.is_degraded { vec!["embeddings"] } else { Vec::new() }
    }
}

/// What is embedded: the question, in a conversation the previous question before it and
/// the last one twice, the plain text's way of giving it twice the weight.
fn standalone(text: &str, previous: Option<&str>) -> String {
    match previous {
        None => text.to_owned(),
        Some(previous) => format!("{previous}\n{text}\n{text}"),
    }
}

/// Whether the index failed, rather than the question.
fn is_outage(err: &Error) -> bool {
    matches!(err, Error::Unavailable { .. } | Error::Timeout | Error::Misconfigured(_))
}

fn milliseconds(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}

/// Characters that a fragment of a URL may not hold as they are (WHATWG URL, fragment
/// percent-encode set).
const FRAGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');
/// The same for a path; `?` and `#` would end it.
const PATH: &AsciiSet =
    &FRAGMENT.add(b'?').add(b'#').add(b'^').add(b'{').add(b'}').add(b'\\');

/// Encodes what has to be. What is encoded already stays; a lone `%` becomes `%25`.
fn encode(text: &str, set: &'static AsciiSet) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (number, part) in text.split('%').enumerate() {
        if number > 0 {
            let digits = part.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
            encoded.push_str(if digits == 2 { "%" } else { "%25" });
        }
        encoded.extend(utf8_percent_encode(part, set));
    }
    encoded
}

#[cfg(test)]
mod tests;
