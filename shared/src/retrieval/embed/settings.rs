//! Which provider embeds, where it is and which model it runs.

use std::time::Duration;

use reqwest::Url;

use super::Wire;
use crate::{Error, Result, config::Env};

/// Everything that `EMBEDDING_*` says.
#[derive(Clone)]
pub(super) struct Settings {
    pub wire: Wire,
    /// The address to which the wire format adds its path; a query string on it is kept.
    pub base: Url,
    /// The model, as the provider calls it.
    pub name: String,
    /// The model and its dimensions: what tells its vectors from others.
    pub model: String,
    /// `EMBEDDING_DIMENSIONS`: a shorter vector than the model's own, where it can.
    pub dimensions: Option<u32>,
    pub key: Option<String>,
    /// `EMBEDDING_TIMEOUT`, for a question: 3 s.
    pub timeout: Duration,
}

/// A provider: how it is spoken to, where it is found, a model of its and where its key is.
struct Preset {
    wire: Wire,
    base: Option<&'static str>,
    model: Option<&'static str>,
    key: Option<&'static str>,
}

impl Settings {
    /// `EMBEDDING_PROVIDER` is `openai`, `azure`, `ollama`, `gemini`, `cohere` or `none`.
    /// Unset: the `OpenAI` format where `EMBEDDING_BASE_URL` is set, else the first provider
    /// whose key is there, else none.
    pub(super) fn from_env(env: &Env) -> Result<Option<Self>> {
        let Some(provider) = env.get("EMBEDDING_PROVIDER").or_else(|| guess(env)) else {
            return Ok(None);
        };
        let Some(preset) = preset(&provider.to_ascii_lowercase())? else {
            return Ok(None);
        };
        let own_base = env.get("EMBEDDING_BASE_URL");
        let base = own_base.or(preset.base);
        let base = base.ok_or(Error::Misconfigured("EMBEDDING_BASE_URL"))?;
        let base = Url::parse(base).ok().filter(Url::has_host);
        let base = base.ok_or(Error::Misconfigured("EMBEDDING_BASE_URL"))?;
        let name = env.get("EMBEDDING_MODEL").or(preset.model);
        let key = env.get("EMBEDDING_API_KEY").or_else(|| env.get(preset.key?));
        if let (None, None, Some(missing)) = (key, own_base, preset.key) {
            return Err(Error::Misconfigured(missing));
        }
        if key.is_some_and(|it| !it.bytes().all(|it| it.is_ascii_graphic())) {
            return Err(Error::Misconfigured("EMBEDDING_API_KEY"));
        }
        let seconds = env.parse("EMBEDDING_TIMEOUT", 3.0)?;
        let name = name.ok_or(Error::Misconfigured("EMBEDDING_MODEL"))?;
        let dimensions = dimensions(env)?;
        let model =
            dimensions.map_or_else(|| name.to_owned(), |it| format!("{name}@{it}"));
        Ok(Some(Self {
            wire: preset.wire,
            base,
            name: name.to_owned(),
            model,
            dimensions,
            key: key.map(str::to_owned),
            timeout: Duration::try_from_secs_f64(seconds)
                .map_err(|_| Error::Misconfigured("EMBEDDING_TIMEOUT"))?,
        }))
    }

    /// The address with a path added, `embeddings` or `models/x:embedContent`; Azure's
    /// `?api-version=…` stays behind it.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

fn guess(env: &Env) -> Option<&'static str> {
    let signs = [
        ("EMBEDDING_BASE_URL", "openai"),
        ("OPENAI_API_KEY", "openai"),
        ("GEMINI_API_KEY", "gemini"),
        ("COHERE_API_KEY", "cohere"),
    ];
    signs.into_iter().find(|(sign, _)| env.get(sign).is_some()).map(|(_, name)| name)
}

fn preset(provider: &str) -> Result<Option<Preset>> {
    Ok(Some(match provider {
        "none" => return Ok(None),
        "openai" => Preset {
            wire: Wire::OpenAi,
            base: Some("https://api.openai.com/v1"),
            model: Some("text-embedding-3-small"),
            key: Some("OPENAI_API_KEY"),
        },
        // The address is the customer's own, and the model is the name of a deployment:
        // `https://NAME.openai.azure.com/openai/v1`, or the older
        // `https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=2024-10-21`.
        "azure" => Preset {
            wire: Wire::Azure,
            base: None,
            model: Some("text-embedding-3-small"),
            key: Some("AZURE_OPENAI_API_KEY"),
        },
        "ollama" => Preset {
            wire: Wire::OpenAi,
            base: Some("http://localhost:11434/v1"),
            model: Some("nomic-embed-text"),
            key: None,
        },
        "gemini" => Preset {
            wire: Wire::Gemini,
            base: Some("https://generativelanguage.googleapis.com/v1beta"),
            model: Some("gemini-embedding-001"),
            key: Some("GEMINI_API_KEY"),
        },
        "cohere" => Preset {
            wire: Wire::Cohere,
            base: Some("https://api.cohere.com/v2"),
            model: Some("embed-v4.0"),
            key: Some("COHERE_API_KEY"),
        },
        _ => return Err(Error::Misconfigured("EMBEDDING_PROVIDER")),
    }))
}

fn dimensions(env: &Env) -> Result<Option<u32>> {
    match env.parse("EMBEDDING_DIMENSIONS", 0)? {
        0 if env.get("EMBEDDING_DIMENSIONS").is_some() => {
            Err(Error::Misconfigured("EMBEDDING_DIMENSIONS"))
        }
        0 => Ok(None),
        some => Ok(Some(some)),
    }
}
