//! Which provider, where, with which key and which model.

use reqwest::{Url, header::HeaderValue};

use super::Limits;
use crate::{
    Error, Result,
    config::{Env, Platform},
};

/// What a provider has unless the settings say otherwise: the variable of its key, its
/// address, and its model. The models were, in November 2026, the small and cheap ones that
/// were neither previews nor announced to be shut down. Azure has none: there a model goes
/// by the name that the owner gave to the deployment.
struct Preset {
    key: &'static str,
    base: Option<&'static str>,
    model: Option<&'static str>,
}

const OPENAI: Preset = Preset {
    key: "OPENAI_API_KEY",
    base: Some("https://api.openai.com/v1"),
    model: Some("gpt-6-luna"),
};
const GEMINI: Preset = Preset {
    key: "GEMINI_API_KEY",
    base: Some("https://generativelanguage.googleapis.com"),
    model: Some("gemini-3.5-flash-lite"),
};
const OLLAMA: Preset =
    Preset { key: "LLM_API_KEY", base: None, model: Some("gemma3:4b") };
/// `LLM_BASE_URL` is `https://{resource}.openai.azure.com/openai/v1`, the surface that needs
/// no `api-version`.
const AZURE: Preset = Preset { key: "AZURE_OPENAI_API_KEY", base: None, model: None };
const COMPATIBLE: Preset = Preset { key: "LLM_API_KEY", base: None, model: None };

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    OpenAi,
    Azure,
    Ollama,
    /// Some other server that speaks OpenAI's wire.
    Compatible,
    Gemini,
    Extractive,
    Scripted,
}

impl Provider {
    /// What `LLM_PROVIDER` says, else the first that is configured. Nothing is probed: the
    /// dev server looks for Ollama and sets `LLM_PROVIDER`.
    pub(super) fn from_env(env: &Env) -> Result<Self> {
        let set = |name| env.get(name).is_some();
        let named = env.get("LLM_PROVIDER").map(str::to_ascii_lowercase);
        Ok(match named.as_deref() {
            Some("openai") => Self::OpenAi,
            Some("azure") => Self::Azure,
            Some("ollama") => Self::Ollama,
            Some("gemini") => Self::Gemini,
            Some("extractive") => Self::Extractive,
            Some("scripted") => Self::Scripted,
            Some(_) => return Err(Error::Misconfigured("LLM_PROVIDER")),
            None if set("OPENAI_API_KEY") => Self::OpenAi,
            None if set("GEMINI_API_KEY") && !set("LLM_BASE_URL") => Self::Gemini,
            None if set("LLM_BASE_URL") => Self::Compatible,
            None if set("OLLAMA_HOST") && env.platform() == Platform::Local => {
                Self::Ollama
            }
            None => Self::Extractive,
        })
    }

    fn preset(self) -> &'static Preset {
        match self {
            Self::OpenAi => &OPENAI,
            Self::Azure => &AZURE,
            Self::Ollama => &OLLAMA,
            Self::Gemini => &GEMINI,
            Self::Compatible | Self::Extractive | Self::Scripted => &COMPATIBLE,
        }
    }
}

/// The settings that every vendor's wire has.
pub(super) struct Settings {
    /// Without a slash at its end.
    pub(super) base: String,
    pub(super) key: Option<String>,
    pub(super) model: String,
    /// `LLM_MAX_TOKENS` (1024: a long answer with its citations has about 500).
    pub(super) max_tokens: u32,
    /// `LLM_TEMPERATURE`; `None` leaves it to the provider.
    pub(super) temperature: Option<f64>,
    /// `LLM_REASONING_EFFORT`, a word that the provider understands.
    pub(super) effort: Option<String>,
    pub(super) limits: Limits,
}

impl Settings {
    pub(super) fn from_env(provider: Provider, env: &Env) -> Result<Self> {
        let preset = provider.preset();
        let key = key(provider, env)?;
        let model = env
            .get("LLM_MODEL")
            .or(preset.model)
            .ok_or(Error::Misconfigured("LLM_MODEL"))?;
        let temperature = match env.get("LLM_TEMPERATURE") {
            Some(_) => Some(env.parse("LLM_TEMPERATURE", 0.0)?),
            None => steady(model).then_some(0.2),
        };
        let default_effort = (model == "gpt-6-luna").then_some("none");
        Ok(Self {
            base: base(provider, env)?,
            key: key.map(str::to_owned),
            max_tokens: env.parse("LLM_MAX_TOKENS", 1024)?,
            temperature,
            effort: env.get("LLM_REASONING_EFFORT").or(default_effort).map(str::to_owned),
            model: model.to_owned(),
            limits: Limits::from_env(env)?,
        })
    }

    /// Whether OpenAI's own endpoint is asked.
    pub(super) fn is_openai(&self) -> bool {
        OPENAI.base == Some(self.base.as_str())
    }
}

/// `LLM_API_KEY`, else the provider's own variable. Another address than the provider's own
/// may need none.
fn key(provider: Provider, env: &Env) -> Result<Option<&str>> {
    let name = provider.preset().key;
    match env.get("LLM_API_KEY").or_else(|| env.get(name)) {
        Some(key) => Ok(Some(key)),
        None if env.get("LLM_BASE_URL").is_some() || provider == Provider::Ollama => {
            Ok(None)
        }
        None => Err(Error::Misconfigured(name)),
    }
}

fn base(provider: Provider, env: &Env) -> Result<String> {
    let (base, name) = match env.get("LLM_BASE_URL") {
        Some(base) => (base.to_owned(), "LLM_BASE_URL"),
        None if provider == Provider::Ollama => {
            (format!("{}/v1", ollama(env)), "OLLAMA_HOST")
        }
        None => {
            let base = provider.preset().base;
            (base.ok_or(Error::Misconfigured("LLM_BASE_URL"))?.to_owned(), "LLM_BASE_URL")
        }
    };
    let url = Url::parse(&base).map_err(|_| Error::Misconfigured(name))?;
    let plain = url.query().is_none() && url.fragment().is_none();
    if !(matches!(url.scheme(), "http" | "https") && url.has_host() && plain) {
        return Err(Error::Misconfigured(name));
    }
    Ok(base.trim_end_matches('/').to_owned())
}

/// Where Ollama is: `OLLAMA_HOST` (this machine) as Ollama's own tools read it. The scheme and
/// the port may be missing, and the address to listen on everywhere means this machine.
pub fn ollama(env: &Env) -> String {
    let host = env.get("OLLAMA_HOST").unwrap_or("127.0.0.1");
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = rest.trim_end_matches('/').replace("0.0.0.0", "127.0.0.1");
    let has_port =
        rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if has_port || scheme == "https" { "" } else { ":11434" };
    format!("{scheme}://{rest}{port}")
}

/// Whether the model takes a temperature. OpenAI's models since GPT-5 and o1 refuse any but
/// their own with 400; Gemini's since 3 ignore it.
fn steady(model: &str) -> bool {
    let gemini = model.rsplit('/').next().and_then(|name| name.strip_prefix("gemini-"));
    match gemini {
        Some(version) => version.starts_with(['1', '2']),
        None => !reasons(model),
    }
}

/// Whether it is one of OpenAI's models that think first: `o1`…, `gpt-5`… and later.
pub(super) fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    name.strip_prefix("gpt-").and_then(number).is_some_and(|version| version >= 5)
        || name.strip_prefix('o').and_then(number).is_some()
}

/// A header with a key, which no debug output shows. `name` is the setting to blame.
pub(super) fn secret(text: &str, name: &'static str) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| Error::Misconfigured(name))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen<const N: usize>(pairs: [(&str, &str); N]) -> Provider {
        Provider::from_env(&Env::from(pairs)).unwrap()
    }

    fn settings<const N: usize>(pairs: [(&str, &str); N]) -> Result<Settings> {
        let env = Env::from(pairs);
        Settings::from_env(Provider::from_env(&env)?, &env)
    }

    fn wrong<const N: usize>(pairs: [(&str, &str); N]) -> &'static str {
        match settings(pairs) {
            Err(Error::Misconfigured(name)) => name,
            _ => "nothing",
        }
    }

    #[test]
    fn the_first_that_is_configured_answers() {
        let (openai, gemini) = (("OPENAI_API_KEY", "k"), ("GEMINI_API_KEY", "k"));
        let (base, ollama) = (("LLM_BASE_URL", "http://h"), ("OLLAMA_HOST", "h"));
        assert_eq!(chosen([openai, gemini, base, ollama]), Provider::OpenAi);
        assert_eq!(chosen([gemini, ollama]), Provider::Gemini);
        assert_eq!(chosen([gemini, base]), Provider::Compatible);
        assert_eq!(chosen([base, ollama]), Provider::Compatible);
        assert_eq!(chosen([ollama]), Provider::Ollama);
        assert_eq!(chosen([]), Provider::Extractive);
    }

    #[test]
    fn ollama_is_not_looked_for_on_a_platform() {
        let host = ("OLLAMA_HOST", "127.0.0.1");
        assert_eq!(chosen([host, ("VERCEL", "1")]), Provider::Extractive);
        let lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
        assert_eq!(chosen([host, lambda]), Provider::Extractive);
    }

    #[test]
    fn the_named_provider_wins_and_a_wrong_name_is_told() {
        let key = ("OPENAI_API_KEY", "k");
        for (name, provider) in [
            ("openai", Provider::OpenAi),
            ("Azure", Provider::Azure),
            ("ollama", Provider::Ollama),
            ("gemini", Provider::Gemini),
            ("extractive", Provider::Extractive),
            ("scripted", Provider::Scripted),
        ] {
            assert_eq!(chosen([key, ("LLM_PROVIDER", name)]), provider);
        }
        assert_eq!(wrong([key, ("LLM_PROVIDER", "oracle")]), "LLM_PROVIDER");
    }

    #[test]
    fn what_a_provider_cannot_do_without_is_told() {
        assert_eq!(wrong([("LLM_PROVIDER", "openai")]), "OPENAI_API_KEY");
        assert_eq!(wrong([("LLM_PROVIDER", "gemini")]), "GEMINI_API_KEY");
        assert_eq!(wrong([("LLM_PROVIDER", "azure")]), "AZURE_OPENAI_API_KEY");
        let azure = [("LLM_PROVIDER", "azure"), ("AZURE_OPENAI_API_KEY", "k")];
        assert_eq!(wrong(azure), "LLM_MODEL");
        assert_eq!(wrong([azure[0], azure[1], ("LLM_MODEL", "m")]), "LLM_BASE_URL");
        assert_eq!(wrong([("LLM_BASE_URL", "http://h/v1")]), "LLM_MODEL");
        let model = ("LLM_MODEL", "m");
        for url in ["here", "ftp://h/v1", "http://h/v1?key=k"] {
            assert_eq!(wrong([("LLM_BASE_URL", url), model]), "LLM_BASE_URL", "{url}");
        }
        assert_eq!(wrong([("LLM_PROVIDER", "ollama")]), "nothing");
    }

    #[test]
    fn a_key_of_its_own_wins_over_the_providers() {
        let (key, base) = (("OPENAI_API_KEY", "k"), ("LLM_BASE_URL", "https://other/v1"));
        assert_eq!(settings([key, base]).unwrap().key.as_deref(), Some("k"));
        let own = settings([key, base, ("LLM_API_KEY", "l")]).unwrap();
        assert_eq!(own.key.as_deref(), Some("l"));
    }

    #[test]
    fn ollama_is_found_where_its_own_variable_says() {
        for (host, base) in [
            ("127.0.0.1", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/v1"),
            ("http://box:11434/", "http://box:11434/v1"),
            ("box:8080/", "http://box:8080/v1"),
            ("https://box", "https://box/v1"),
            ("[::1]", "http://[::1]:11434/v1"),
            ("", "http://127.0.0.1:11434/v1"),
        ] {
            let env = [("LLM_PROVIDER", "ollama"), ("OLLAMA_HOST", host)];
            assert_eq!(settings(env).unwrap().base, base);
        }
    }

    #[test]
    fn a_temperature_is_sent_only_to_models_that_take_one() {
        for model in
            ["gpt-6-luna", "gpt-5.4-nano", "openai/gpt-10", "o3", "gemini-3.5-flash"]
        {
            assert!(!steady(model), "{model}");
        }
        for model in
            ["gpt-4.1-mini", "gpt-oss:20b", "gemma3:4b", "olmo", "gemini-2.5-flash"]
        {
            assert!(steady(model), "{model}");
        }
        let env = [("OPENAI_API_KEY", "k"), ("LLM_TEMPERATURE", "1")];
        assert_eq!(settings(env).unwrap().temperature, Some(1.0));
    }
}
