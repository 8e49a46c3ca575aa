//! OpenAI's chat completions, which Azure OpenAI, Ollama and many others speak too.

use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Delta, Deltas, Limits, Progress, Prompt, Provider, Said, Usage, error_code,
    preset::{Settings, reasons, secret},
    transport, unavailable, unreadable,
};
use crate::{Result, config::Env};

/// A server of this wire.
pub struct OpenAi {
    http: reqwest::Client,
    settings: Settings,
    key: Option<(HeaderName, HeaderValue)>,
    /// OpenAI's newer models refuse `max_tokens`, other servers do not know its successor.
    max_tokens: &'static str,
}

impl OpenAi {
    pub(super) fn from_env(
        provider: Provider,
        env: &Env,
        http: reqwest::Client,
    ) -> Result<Self> {
        let settings = Settings::from_env(provider, env)?;
        let key = settings.key.as_deref().map(|key| match provider {
            Provider::Azure => Ok::<_, crate::Error>((
                HeaderName::from_static("api-key"),
                secret(key, "LLM_API_KEY")?,
            )),
            _ => Ok((AUTHORIZATION, secret(&format!("Bearer {key}"), "LLM_API_KEY")?)),
        });
        let successor = provider == Provider::Azure
            || settings.is_openai()
            || reasons(&settings.model);
        let max_tokens = if successor { "max_completion_tokens" } else { "max_tokens" };
        Ok(Self { http, key: key.transpose()?, settings, max_tokens })
    }

    pub(super) fn model(&self) -> &str {
        &self.settings.model
    }

    pub(super) fn limits(&self) -> Limits {
        self.settings.limits
    }

    pub(super) async fn stream(&self, prompt: &Prompt) -> Result<Deltas> {
        let url = format!("{}/chat/completions", self.settings.base);
        let request = self.http.post(url).json(&self.body(prompt));
        transport::send(self.sign(request), decode).await
    }

    pub(super) async fn check(&self) -> Result<()> {
        let url = format!("{}/models", self.settings.base);
        transport::check(self.sign(self.http.get(url))).await
    }

    fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }

    /// How this wire is asked.
    fn body(&self, prompt: &Prompt) -> Value {
        let mut body = json!({
            "model": self.settings.model,
            "messages": [
                { "role": "system", "content": prompt.system },
                { "role": "user", "content": prompt.user },
            ],
            "stream": true,
            "stream_options": { "include_usage": true },
            self.max_tokens: self.settings.max_tokens,
        });
        if let Some(temperature) = self.settings.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(effort) = &self.settings.effort {
            body["reasoning_effort"] = json!(effort);
        }
        body
    }
}

/// How this wire is read.
fn decode(event: &str) -> Result<Said> {
    #[derive(Deserialize)]
    struct Chunk {
        #[serde(default)]
        choices: Vec<Choice>,
        usage: Option<Count>,
        error: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Choice {
        #[serde(default)]
        index: u32,
        delta: Option<Message>,
        finish_reason: Option<String>,
    }
    #[derive(Deserialize)]
    struct Message {
        content: Option<String>,
    }
    #[derive(Deserialize)]
    struct Count {
        #[serde(default)]
        prompt_tokens: u32,
        #[serde(default)]
        completion_tokens: u32,
    }

    if event.trim() == "[DONE]" {
        return Ok(Said { progress: Progress::End, ..Said::default() });
    }
    let chunk: Chunk = serde_json::from_str(event).map_err(|err| unreadable(&err))?;
    if let Some(error) = chunk.error {
        let code = error_code(&error).unwrap_or_else(|| "no code".into());
        return Err(unavailable(format!("the reply ended in an error: {code}")));
    }
    let mut said = Said::default();
    for choice in chunk.choices.into_iter().filter(|it| it.index == 0) {
        let text = choice.delta.and_then(|it| it.content).filter(|it| !it.is_empty());
        said.deltas.extend(text.map(Delta::Text));
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("content_filter") => {
                return Err(unavailable("the provider's filter stopped the answer"));
            }
            Some("length") => {
                said.deltas.push(Delta::Cut);
                said.progress = Progress::Finished;
            }
            Some(_) => said.progress = Progress::Finished,
        }
    }
    said.deltas.extend(chunk.usage.map(|it| {
        Delta::Usage(Usage {
            input_tokens: it.prompt_tokens,
            output_tokens: it.completion_tokens,
            estimated: false,
        })
    }));
    Ok(said)
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;

    use super::*;
    use crate::tls;

    fn openai<const N: usize>(pairs: [(&str, &str); N]) -> OpenAi {
        let env = Env::from(pairs);
        let provider = Provider::from_env(&env).unwrap();
        OpenAi::from_env(provider, &env, tls::http_client()).unwrap()
    }

    fn prompt() -> Prompt {
        Prompt { system: "Answer from the passages.".into(), user: "And a copy?".into() }
    }

    fn text(words: &str) -> Delta {
        Delta::Text(words.into())
    }

    #[test]
    fn openai_is_asked_so() {
        assert_json_snapshot!(openai([("OPENAI_API_KEY", "k")]).body(&prompt()), @r#"
        {
          "max_completion_tokens": 1024,
          "messages": [
            {
              "content": "Answer from the passages.",
              "role": "system"
            },
            {
              "content": "And a copy?",
              "role": "user"
            }
          ],
          "model": "gpt-6-luna",
          "reasoning_effort": "none",
          "stream": true,
          "stream_options": {
            "include_usage": true
          }
        }
        "#);
    }

    #[test]
    fn another_server_is_asked_so() {
        let settings = [("LLM_BASE_URL", "http://box/v1/"), ("LLM_MODEL", "qwen3:4b")];
        let server = openai(settings);
        assert!(server.key.is_none());
        assert_eq!(server.settings.base, "http://box/v1");
        assert_json_snapshot!(server.body(&Prompt::default()), @r#"
        {
          "max_tokens": 1024,
          "messages": [
            {
              "content": "",
              "role": "system"
            },
            {
              "content": "",
              "role": "user"
            }
          ],
          "model": "qwen3:4b",
          "stream": true,
          "stream_options": {
            "include_usage": true
          },
          "temperature": 0.2
        }
        "#);
    }

    #[test]
    fn azure_has_its_own_header() {
        let azure = openai([
            ("LLM_PROVIDER", "azure"),
            ("AZURE_OPENAI_API_KEY", "k"),
            ("LLM_BASE_URL", "https://mine.openai.azure.com/openai/v1"),
            ("LLM_MODEL", "my-deployment"),
        ]);
        let (name, value) = azure.key.as_ref().unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("api-key", b"k".as_slice()));
        assert!(value.is_sensitive());
        assert_eq!(azure.max_tokens, "max_completion_tokens");
    }

    #[test]
    fn a_key_that_fits_in_no_header_is_a_wrong_setting() {
        let env = Env::from([("OPENAI_API_KEY", "two\nlines")]);
        let made = OpenAi::from_env(Provider::OpenAi, &env, tls::http_client());
        assert!(matches!(made, Err(crate::Error::Misconfigured("LLM_API_KEY"))));
    }

    #[test]
    fn text_comes_from_the_first_choice() {
        let event = r#"{"choices":[{"index":0,"delta":{"content":"In"}},
            {"index":1,"delta":{"content":"no"}}],"usage":null}"#;
        assert_eq!(decode(event).unwrap().deltas, [text("In")]);
    }

    #[test]
    fn a_role_thoughts_and_a_filters_report_are_no_text() {
        for event in [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"delta":{"content":null,"reasoning":"hm"}}]}"#,
            r#"{"choices":[],"prompt_filter_results":[]}"#,
        ] {
            assert_eq!(decode(event).unwrap(), Said::default(), "{event}");
        }
    }

    #[test]
    fn the_end_has_three_signs() {
        let event =
            r#"{"choices":[{"index":0,"delta":{"content":"."},"finish_reason":"stop"}]}"#;
        let said = decode(event).unwrap();
        assert_eq!((said.deltas, said.progress), (vec![text(".")], Progress::Finished));
        let event = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
        assert_eq!(decode(event).unwrap().progress, Progress::Finished);

        let event = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#;
        let usage = Usage { input_tokens: 9, output_tokens: 3, estimated: false };
        assert_eq!(decode(event).unwrap().deltas, [Delta::Usage(usage)]);

        assert_eq!(decode("[DONE]").unwrap().progress, Progress::End);
    }

    #[test]
    fn an_error_keeps_its_code_and_loses_its_words() {
        let event = r#"{"error":{"message":"about your cat","type":"t","code":"quota"}}"#;
        let chain = decode(event).unwrap_err().chain();
        assert_eq!(chain, "llm is unavailable: the reply ended in an error: quota");
        let chain = decode(r#"{"error":"about your cat"}"#).unwrap_err().chain();
        assert!(chain.ends_with("no code"), "{chain}");
    }

    #[test]
    fn what_is_not_this_wire_is_an_error_that_repeats_nothing() {
        for event in [r#"{"choices":"my cat"}"#, "my cat", r#"{"choices":[{"delta":"cat"#]
        {
            let chain = decode(event).unwrap_err().chain();
            assert!(chain.contains("unreadable") && !chain.contains("cat"), "{chain}");
        }
    }

    #[test]
    fn a_filtered_answer_is_an_error() {
        let event = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
        assert!(decode(event).unwrap_err().chain().contains("filter"));
    }
}
