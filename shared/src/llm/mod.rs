//! Asking a model.
//!
//! A vendor is two pure things: how to ask (`request`) and how to read one event of the
//! reply (`decode`). Framing (`sse.rs`), transport and time limits live here once.

mod gemini;
mod limits;
mod openai;
mod preset;
mod scripted;
mod sse;
mod transport;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

pub use self::{gemini::Gemini, openai::OpenAi, preset::ollama, scripted::Scripted};
use self::{limits::Limits, preset::Provider};
use crate::{Error, Result, config::Env};

/// Everything that a model is given.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// The rules.
    pub system: String,
    /// Everything else. Earlier turns are part of it, as data: a model takes turns of its own
    /// at their word, and a guest may have made them up.
    pub user: String,
}

impl Prompt {
    /// How long it is, in characters: the measure of [`Usage::estimate`].
    pub fn chars(&self) -> usize {
        self.system.chars().count() + self.user.chars().count()
    }
}

/// Tokens, as the provider counted them, or estimated when it is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the answer, thinking included.
    pub output_tokens: u32,
    /// Whether we had to guess.
    pub estimated: bool,
}

impl Usage {
    /// A guess from the numbers of characters, for a provider that does not count: four
    /// characters a token, rounded up, which is the vendors' own rule of thumb for English.
    pub fn estimate(prompt_chars: usize, answer_chars: usize) -> Self {
        let tokens = |chars: usize| u32::try_from(chars.div_ceil(4)).unwrap_or(u32::MAX);
        Self {
            input_tokens: tokens(prompt_chars),
            output_tokens: tokens(answer_chars),
            estimated: true,
        }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Text, never empty.
    Text(String),
    /// The count so far; the last one wins.
    Usage(Usage),
    /// The reply has reached `LLM_MAX_TOKENS`: its text ends here, perhaps within a word.
    Cut,
}

/// A reply as it comes. It ends after the provider's own end mark; a reply that breaks off
/// without one is an error. Dropping it closes the connection to the provider, which
/// stops the bill.
pub type Deltas = BoxStream<'static, Result<Delta>>;

/// What one event of a reply says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    deltas: Vec<Delta>,
    progress: Progress,
}

/// How far a reply has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Text is still due; closing now is breaking off.
    #[default]
    Open,
    /// The model has finished; only its count may still come, and closing is fine.
    Finished,
    /// Nothing comes any more.
    End,
}

/// Who answers. A closed set.
pub enum Llm {
    /// The OpenAI wire: OpenAI, Azure OpenAI, Ollama, and whoever else speaks it.
    OpenAi(OpenAi),
    /// Gemini's own wire.
    Gemini(Gemini),
    /// No model: the best passages are quoted.
    Extractive,
    /// Says what it was told to say. For tests.
    Scripted(Scripted),
}

impl Llm {
    /// Reads `LLM_PROVIDER`, else takes the first that is configured: `OPENAI_API_KEY`,
    /// `GEMINI_API_KEY`, `LLM_BASE_URL`, `OLLAMA_HOST` (outside the platforms), extractive.
    /// Nothing is asked over the network.
    pub fn from_env(env: &Env, http: reqwest::Client) -> Result<Self> {
        Ok(match Provider::from_env(env)? {
            Provider::Extractive => Self::Extractive,
            Provider::Scripted => Self::Scripted(Scripted::from_env(env)?),
            Provider::Gemini => Self::Gemini(Gemini::from_env(env, http)?),
            provider => Self::OpenAi(OpenAi::from_env(provider, env, http)?),
        })
    }

    /// The model's name for the log, `extractive` for none.
    pub fn model(&self) -> &str {
        match self {
            Self::OpenAi(it) => it.model(),
            Self::Gemini(it) => it.model(),
            Self::Extractive => "extractive",
            Self::Scripted(_) => "scripted",
        }
    }

    /// Whether there is no model to ask.
    pub fn is_extractive(&self) -> bool {
        matches!(self, Self::Extractive)
    }

    /// Sends the prompt and waits for the first text, so that whoever gets `Ok` has
    /// something to show. Errors before it are `Unavailable` (service `llm`) or `Timeout`
    /// (after `LLM_FIRST_TOKEN_TIMEOUT`); so are those in the stream (`Timeout` after
    /// `LLM_TOKEN_TIMEOUT` without a token), which are its last item.
    pub async fn stream(&self, prompt: &Prompt) -> Result<Deltas> {
        match self {
            Self::OpenAi(it) => it.limits().watch(it.stream(prompt)).await,
            Self::Gemini(it) => it.limits().watch(it.stream(prompt)).await,
            Self::Scripted(it) => it.limits().watch(async { Ok(it.stream()) }).await,
            Self::Extractive => Err(Error::Internal("no model was configured".into())),
        }
    }

    /// Asks the provider whether it is there, for `GET /health?deep=1`: its list of models,
    /// which is free of charge. The caller bounds the time.
    pub async fn check(&self) -> Result<()> {
        match self {
            Self::OpenAi(it) => it.check().await,
            Self::Gemini(it) => it.check().await,
            Self::Extractive | Self::Scripted(_) => Ok(()),
        }
    }
}

/// The model, or the way to it, failed; the words are ours, or a vendor's code.
fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("llm", source)
}

/// A vendor's code (`rate_limit_exceeded`, `RESOURCE_EXHAUSTED`, `404`) if it is one.
/// Sentences are not let through, because they may repeat the prompt, nor is anything
/// that has the make of a key.
fn code(word: &str) -> Option<&str> {
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '.';
    let digits = word.chars().filter(char::is_ascii_digit).count();
    (!word.is_empty() && word.len() <= 48 && digits <= 3 && word.chars().all(plain))
        .then_some(word)
}

/// The most telling code of a vendor's `error` object: OpenAI's `code` and `type`, Gemini's
/// `status`.
fn error_code(error: &serde_json::Value) -> Option<String> {
    ["code", "status", "type"].iter().find_map(|field| {
        let word = error.get(field)?.as_str()?;
        code(word).map(str::to_owned)
    })
}

/// An event that could not be read. A parser's own words may repeat what it read, so only
/// the place is told.
fn unreadable(err: &serde_json::Error) -> Error {
    unavailable(format!("an event was unreadable at column {}", err.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_characters_are_guessed_to_be_a_token() {
        let usage = Usage::estimate(9, 4);
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 1));
        assert!(usage.estimated);
        assert_eq!(Usage::estimate(usize::MAX, 0).input_tokens, u32::MAX);
    }

    #[test]
    fn a_prompt_is_measured_in_characters() {
        let prompt = Prompt { system: "abc".into(), user: "é".into() };
        assert_eq!(prompt.chars(), 4);
    }

    #[test]
    fn codes_pass_and_sentences_and_keys_do_not() {
        for word in ["rate_limit_exceeded", "RESOURCE_EXHAUSTED", "429", "model.missing"]
        {
            assert_eq!(code(word), Some(word));
        }
        for word in ["", "You sent: hello", "sk-proj-1", "AIzaSy0123456789", "é"] {
            assert_eq!(code(word), None, "{word}");
        }
    }

    #[tokio::test]
    async fn the_extractive_mode_has_no_model_and_is_always_there() {
        let llm = Llm::from_env(&Env::default(), crate::tls::http_client()).unwrap();
        assert!(llm.is_extractive());
        assert_eq!(llm.model(), "extractive");
        assert!(llm.check().await.is_ok());
        let refused = llm.stream(&Prompt::default()).await;
        assert!(matches!(refused, Err(Error::Internal(_))));
    }
}
