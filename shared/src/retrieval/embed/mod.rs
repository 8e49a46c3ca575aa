//! Turning text into dense vectors, by whichever provider the settings name.
//!
//! A provider is two pure functions, how to ask and how to read; the transport is written
//! once. No provider is a supported mode: the book is then searched by words alone.

mod cohere;
mod gemini;
mod openai;
mod send;
mod settings;

use std::time::Duration;

use reqwest::Url;

use self::settings::Settings;
use crate::{Error, Result, config::Env};

/// Texts per request. Cohere takes no more than 96, Gemini 100.
pub const BATCH: usize = 96;
/// A batch of passages may take this long; nobody waits for it.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// Makes vectors of length 1.
pub struct Embedder {
    http: reqwest::Client,
    settings: Settings,
}

/// What the vectors are for; some models embed the two sides differently.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Passage,
    Question,
}

/// One question to a provider, ready to be sent.
struct Request {
    url: Url,
    /// The header that carries the key, without which the request goes out bare.
    key_header: &'static str,
    body: serde_json::Value,
}

/// The wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// `OpenAI`, and everybody who speaks its format: Azure, Ollama, LM Studio, vLLM.
    OpenAi,
    /// The same with Azure's header for the key.
    Azure,
    Gemini,
    Cohere,
}

impl Embedder {
    /// Reads the `EMBEDDING_*` settings and the providers' keys; `None` when no provider is
    /// named or can be guessed from a key.
    pub fn from_env(env: &Env, http: reqwest::Client) -> Result<Option<Self>> {
        Ok(Settings::from_env(env)?.map(|settings| Self { http, settings }))
    }

    /// The model's name, as it is written beside the vectors: with `EMBEDDING_DIMENSIONS`
    /// behind it (`text-embedding-3-small@256`), because vectors of another length are other
    /// vectors.
    pub fn model(&self) -> &str {
        &self.settings.model
    }

    /// Vectors for passages, in their order. Busy and failing providers are asked again with
    /// growing pauses: an ingest has time.
    pub async fn passages(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut vectors: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            let request = self.request(batch, Side::Passage);
            let key = self.settings.key.as_deref();
            let answer =
                send::patiently(&self.http, &request, key, BATCH_TIMEOUT).await?;
            vectors.extend(self.read(&answer, Side::Passage, batch.len())?);
        }
        if vectors.windows(2).any(|pair| pair[0].len() != pair[1].len()) {
            return Err(broken("vectors of different length"));
        }
        Ok(vectors)
    }

    /// The vector of one question, asked once within `EMBEDDING_TIMEOUT`: a reader waits, and
    /// the words of the question still find passages without it.
    pub async fn question(&self, text: &str) -> Result<Vec<f32>> {
        let request = self.request(&[text.to_owned()], Side::Question);
        let key = self.settings.key.as_deref();
        let answer = send::once(&self.http, &request, key, self.settings.timeout).await;
        let answer = answer.map_err(send::Failed::into_error)?;
        let mut vectors = self.read(&answer, Side::Question, 1)?;
        vectors.pop().ok_or_else(|| broken("no vector"))
    }

    fn request(&self, texts: &[String], side: Side) -> Request {
        match self.settings.wire {
            Wire::OpenAi | Wire::Azure => openai::request(&self.settings, texts, side),
            Wire::Gemini => gemini::request(&self.settings, texts, side),
            Wire::Cohere => cohere::request(&self.settings, texts, side),
        }
    }

    fn read(&self, answer: &[u8], side: Side, wanted: usize) -> Result<Vec<Vec<f32>>> {
        let vectors = match self.settings.wire {
            Wire::OpenAi | Wire::Azure => openai::decode(answer),
            Wire::Gemini => gemini::decode(answer, side),
            Wire::Cohere => cohere::decode(answer),
        };
        // The words of a JSON error may repeat what was sent.
        let vectors = vectors.map_err(|_| broken("an answer that cannot be read"))?;
        checked(vectors, wanted)
    }
}

/// As many vectors as texts, equally long, and each brought to length 1 (a shortened vector
/// is not, and cosine is then a plain dot product on the shelf).
fn checked(mut vectors: Vec<Vec<f32>>, wanted: usize) -> Result<Vec<Vec<f32>>> {
    if vectors.len() != wanted {
        return Err(broken("not as many vectors as texts"));
    }
    let length = vectors.first().map_or(0, Vec::len);
    for vector in &mut vectors {
        if vector.is_empty() || vector.len() != length {
            return Err(broken("vectors of different length"));
        }
        let norm = vector.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm == 0.0 {
            return Err(broken("a vector without a direction"));
        }
        for it in vector {
            *it = (f64::from(*it) / norm) as f32;
        }
    }
    Ok(vectors)
}

fn broken(why: &'static str) -> Error {
    Error::unavailable("embeddings", why)
}

#[cfg(test)]
mod tests;
