//! Gemini's own wire, `streamGenerateContent`.

use reqwest::{RequestBuilder, header::HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Delta, Deltas, Limits, Progress, Prompt, Provider, Said, Usage, code, error_code,
    preset::{Settings, secret},
    transport, unavailable, unreadable,
};
use crate::{Error, Result, config::Env};

/// Google's endpoint, or one like it.
pub struct Gemini {
    http: reqwest::Client,
    settings: Settings,
    key: Option<HeaderValue>,
}

impl Gemini {
    pub(super) fn from_env(env: &Env, http: reqwest::Client) -> Result<Self> {
        let mut settings = Settings::from_env(Provider::Gemini, env)?;
        if let Some(name) = settings.model.strip_prefix("models/") {
            settings.model = name.into();
        }
        // It becomes a part of the path.
        let plain = |it: char| it.is_ascii_alphanumeric() || "-._".contains(it);
        if !settings.model.chars().all(plain) {
            return Err(Error::Misconfigured("LLM_MODEL"));
        }
        let key = settings.key.as_deref().map(|key| secret(key, "GEMINI_API_KEY"));
        Ok(Self { http, key: key.transpose()?, settings })
    }

    pub(super) fn model(&self) -> &str {
        &self.settings.model
    }

    pub(super) fn limits(&self) -> Limits {
        self.settings.limits
    }

    pub(super) async fn stream(&self, prompt: &Prompt) -> Result<Deltas> {
        let Settings { base, model, .. } = &self.settings;
        let url = format!("{base}/v1beta/models/{model}:streamGenerateContent?alt=sse");
        let request = self.http.post(url).json(&self.body(prompt));
        transport::send(self.sign(request), decode).await
    }

    pub(super) async fn check(&self) -> Result<()> {
        let url = format!("{}/v1beta/models?pageSize=1", self.settings.base);
        transport::check(self.sign(self.http.get(url))).await
    }

    fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.header("x-goog-api-key", key),
            None => request,
        }
    }

    /// How this wire is asked.
    fn body(&self, prompt: &Prompt) -> Value {
        let mut config = json!({ "maxOutputTokens": self.settings.max_tokens });
        if let Some(temperature) = self.settings.temperature {
            config["temperature"] = json!(temperature);
        }
        if let Some(effort) = &self.settings.effort {
            config["thinkingConfig"] = json!({ "thinkingLevel": effort });
        }
        json!({
            "systemInstruction": { "parts": [{ "text": prompt.system }] },
            "contents": [{ "role": "user", "parts": [{ "text": prompt.user }] }],
            "generationConfig": config,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Count>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    content: Content,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
struct Count {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u32>,
    #[serde(default, rename = "candidatesTokenCount")]
    candidates: u32,
    #[serde(default, rename = "thoughtsTokenCount")]
    thoughts: u32,
}

/// How this wire is read. It has no end mark: the event with the reason is the last.
fn decode(event: &str) -> Result<Said> {
    let chunk: Chunk = serde_json::from_str(event).map_err(|err| unreadable(&err))?;
    if let Some(error) = chunk.error {
        let code = error_code(&error).unwrap_or_else(|| "no code".into());
        return Err(unavailable(format!("the reply ended in an error: {code}")));
    }
    if let Some(reason) = chunk.prompt_feedback.and_then(|it| it.block_reason) {
        return Err(stopped("the prompt", &reason));
    }
    let mut said = Said::default();
    if let Some(candidate) = chunk.candidates.into_iter().next() {
        let parts = candidate.content.parts.into_iter();
        let text: String = parts.filter(|it| !it.thought).map(|it| it.text).collect();
        if !text.is_empty() {
            said.deltas.push(Delta::Text(text));
        }
        match candidate.finish_reason.as_deref() {
            None => {}
            Some("STOP") => said.progress = Progress::Finished,
            Some("MAX_TOKENS") => {
                said.deltas.push(Delta::Cut);
                said.progress = Progress::Finished;
            }
            Some(reason) => return Err(stopped("the answer", reason)),
        }
    }
    if let Some(count) = chunk.usage_metadata
        && let Some(input_tokens) = count.prompt
    {
        said.deltas.push(Delta::Usage(Usage {
            input_tokens,
            output_tokens: count.candidates.saturating_add(count.thoughts),
            estimated: false,
        }));
    }
    Ok(said)
}

fn stopped(what: &str, reason: &str) -> Error {
    let reason = code(reason).unwrap_or("no code");
    unavailable(format!("the provider stopped {what}: {reason}"))
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;

    use super::*;
    use crate::tls;

    fn gemini(model: &str) -> Result<Gemini> {
        let env = Env::from([("GEMINI_API_KEY", "k"), ("LLM_MODEL", model)]);
        Gemini::from_env(&env, tls::http_client())
    }

    #[test]
    fn gemini_is_asked_so() {
        let prompt = Prompt {
            system: "Answer from the passages.".into(),
            user: "And a copy?".into(),
        };
        assert_json_snapshot!(gemini("gemini-2.5-flash").unwrap().body(&prompt), @r#"
        {
          "contents": [
            {
              "parts": [
                {
                  "text": "And a copy?"
                }
              ],
              "role": "user"
            }
          ],
          "generationConfig": {
            "maxOutputTokens": 1024,
            "temperature": 0.2
          },
          "systemInstruction": {
            "parts": [
              {
                "text": "Answer from the passages."
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn a_model_is_a_plain_name() {
        let model = "models/gemini-3.5-flash-lite";
        assert_eq!(gemini(model).unwrap().model(), "gemini-3.5-flash-lite");
        for model in ["a/b", "a?key=b", "..%2f"] {
            let made = gemini(model);
            assert!(matches!(made, Err(Error::Misconfigured("LLM_MODEL"))), "{model}");
        }
    }

    #[test]
    fn parts_are_one_text_without_the_thoughts() {
        let event = r#"{"candidates":[{"content":{"role":"model","parts":[
            {"text":"hm","thought":true},{"text":"In "},{"text":"the"}]}}],
            "usageMetadata":{"trafficType":"ON_DEMAND"}}"#;
        let said = decode(event).unwrap();
        assert_eq!(said.deltas, [Delta::Text("In the".into())]);
        assert_eq!(said.progress, Progress::Open);
    }

    #[test]
    fn the_last_event_has_the_reason_and_the_count() {
        let event = r#"{"candidates":[{"content":{"parts":[{"text":"",
            "thoughtSignature":"AA=="}]},"finishReason":"STOP"}],
            "usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,
            "thoughtsTokenCount":4,"totalTokenCount":16}}"#;
        let said = decode(event).unwrap();
        let usage = Usage { input_tokens: 9, output_tokens: 7, estimated: false };
        assert_eq!(said.deltas, [Delta::Usage(usage)]);
        assert_eq!(said.progress, Progress::Finished);
        let event = r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#;
        assert_eq!(decode(event).unwrap().progress, Progress::Finished);
    }

    #[test]
    fn what_was_stopped_is_an_error_that_says_why() {
        let words = |event: &str| decode(event).unwrap_err().chain();
        let blocked = words(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
        assert_eq!(
            blocked,
            "llm is unavailable: the provider stopped the prompt: SAFETY"
        );
        let stopped = words(r#"{"candidates":[{"finishReason":"RECITATION"}]}"#);
        assert!(stopped.ends_with("the answer: RECITATION"), "{stopped}");
        let failed = words(
            r#"{"error":{"code":429,"message":"my cat","status":"RESOURCE_EXHAUSTED"}}"#,
        );
        assert!(failed.ends_with("an error: RESOURCE_EXHAUSTED"), "{failed}");
        let unreadable = words(r#"{"candidates":"my cat"}"#);
        assert!(!unreadable.contains("cat"), "{unreadable}");
    }
}
