//! An optional second look at the best passages, by a model over HTTP (Cohere's and Jina's
//! wire, which the others have taken over).

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::Hit;
use crate::{Error, Result, config::Env};

/// Passages that are looked at again; reranking buys order among the best, not recall.
pub(super) const DEPTH: usize = 30;

/// Seconds that a reader waits for it when `RERANK_TIMEOUT` is unset.
const TIMEOUT_S: f64 = 2.0;

/// The endpoint and its model.
pub(super) struct Reranker {
    http: reqwest::Client,
    url: Url,
    model: String,
    key: Option<String>,
    timeout: Duration,
}

#[derive(Deserialize)]
struct Reply {
    results: Vec<Ranked>,
}

#[derive(Deserialize)]
struct Ranked {
    index: usize,
    relevance_score: f64,
}

impl Reranker {
    /// `RERANK_URL` (the whole address, `https://api.cohere.com/v2/rerank`), `RERANK_MODEL`,
    /// `RERANK_API_KEY`, `RERANK_TIMEOUT`; `None` when the first is unset.
    pub(super) fn from_env(env: &Env, http: reqwest::Client) -> Result<Option<Self>> {
        let Some(url) = env.get("RERANK_URL") else { return Ok(None) };
        let url = Url::parse(url).ok().filter(Url::has_host);
        let seconds = env.parse("RERANK_TIMEOUT", TIMEOUT_S)?;
        Ok(Some(Self {
            http,
            url: url.ok_or(Error::Misconfigured("RERANK_URL"))?,
            model: env.need("RERANK_MODEL")?.to_owned(),
            key: env.get("RERANK_API_KEY").map(str::to_owned),
            timeout: Duration::try_from_secs_f64(seconds)
                .map_err(|_| Error::Misconfigured("RERANK_TIMEOUT"))?,
        }))
    }

    /// The passages in the order of their relevance, equal ones as they were. Their scores
    /// stay the fused ones.
    pub(super) async fn reorder(
        &self,
        question: &str,
        hits: Vec<Hit>,
    ) -> Result<Vec<Hit>> {
        if hits.len() < 2 {
            return Ok(hits);
        }
        let texts: Vec<_> = hits.iter().map(|it| it.passage.indexed_text()).collect();
        let body = json!({
            "model": self.model, "query": question, "documents": texts, "top_n": texts.len(),
        });
        let mut request =
            self.http.post(self.url.clone()).timeout(self.timeout).json(&body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let failed =
            |err: reqwest::Error| Error::unavailable("reranker", err.without_url());
        let reply = request.send().await.and_then(reqwest::Response::error_for_status);
        let reply: Reply = reply.map_err(failed)?.json().await.map_err(failed)?;
        Ok(sorted(hits, reply.results))
    }
}

/// What the model left out comes last.
fn sorted(hits: Vec<Hit>, ranked: Vec<Ranked>) -> Vec<Hit> {
    let mut scores = vec![f64::NEG_INFINITY; hits.len()];
    for it in ranked {
        if let Some(score) = scores.get_mut(it.index) {
            *score = it.relevance_score;
        }
    }
    let mut pairs: Vec<_> = scores.into_iter().zip(hits).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs.into_iter().map(|(_, hit)| hit).collect()
}
