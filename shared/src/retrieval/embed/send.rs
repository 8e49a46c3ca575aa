//! Sending a request to an embeddings provider: once for a reader, patiently for an ingest.

use std::time::Duration;

use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};

use super::Request;
use crate::{Error, Result};

/// With the pauses doubling from half a second, 7 attempts span about half a minute: a
/// minute's quota of tokens mostly says in `Retry-After` when it is refilled.
const ATTEMPTS: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(90);

/// Why there is no answer. Neither part ever holds the address, the key or the texts.
pub(super) struct Failed {
    why: String,
    again: Again,
}

/// Whether the same request may succeed later.
#[derive(Debug, PartialEq)]
enum Again {
    Never,
    Soon,
    /// The provider's own `Retry-After`.
    After(Duration),
}

impl Failed {
    pub(super) fn into_error(self) -> Error {
        Error::unavailable("embeddings", self.why)
    }
}

/// One attempt, bounded by `timeout` down to the last byte of the answer.
pub(super) async fn once(
    http: &reqwest::Client,
    request: &Request,
    key: Option<&str>,
    timeout: Duration,
) -> Result<Vec<u8>, Failed> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let bearer = request.key_header == "authorization";
        let value = if bearer { format!("Bearer {key}") } else { key.to_owned() };
        let mut value = HeaderValue::try_from(value).map_err(|_| Failed {
            why: "the key is no header value".into(),
            again: Again::Never,
        })?;
        value.set_sensitive(true);
        headers.insert(request.key_header, value);
    }
    let sent = http.post(request.url.clone()).headers(headers).timeout(timeout);
    let answer = sent.json(&request.body).send().await.map_err(broken)?;
    let status = answer.status();
    let again = again(status, answer.headers());
    let body = answer.bytes().await.map_err(broken)?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let word = code(&body).map(|it| format!(", {it}")).unwrap_or_default();
    Err(Failed { why: format!("status {}{word}", status.as_u16()), again })
}

/// Attempts until the provider answers or says that asking again is no use, and says aloud what
/// it waits for: an ingest that is silent for minutes looks dead.
pub(super) async fn patiently(
    http: &reqwest::Client,
    request: &Request,
    key: Option<&str>,
    timeout: Duration,
) -> Result<Vec<u8>> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        match once(http, request, key, timeout).await {
            Ok(answer) => return Ok(answer),
            Err(failed) if attempt == ATTEMPTS || failed.again == Again::Never => {
                return Err(failed.into_error());
            }
            Err(Failed { why, again }) => {
                let told = if let Again::After(told) = again { told } else { pause };
                let wait = told.min(LONGEST_PAUSE);
                let wait_s = wait.as_secs_f64();
                tracing::warn!(why, attempt, wait_s, "embeddings are asked for again");
                tokio::time::sleep(wait).await;
                pause *= 2;
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// Too many requests and the provider's own troubles pass. Its date form of `Retry-After`
/// is not read: the growing pause serves.
fn again(status: StatusCode, headers: &HeaderMap) -> Again {
    let passes = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error();
    if !passes {
        return Again::Never;
    }
    let told =
        headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.trim().parse().ok());
    let told = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    told.map_or(Again::Soon, Again::After)
}

/// A connection that failed or an answer that did not come. The error's own text would name
/// the address, in which somebody may keep a key.
fn broken(err: reqwest::Error) -> Failed {
    let err = err.without_url();
    let why = if err.is_timeout() {
        "no answer in time".into()
    } else if err.is_connect() {
        "cannot connect".into()
    } else {
        format!("the connection failed: {err}")
    };
    Failed { why, again: Again::Soon }
}

/// The provider's own word for what is wrong (`invalid_api_key`, `INVALID_ARGUMENT`). Its
/// sentence is left out, because it may repeat a part of the key or of the texts.
fn code(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let word =
        ["code", "status", "type"].iter().find_map(|it| error.get(it)?.as_str())?;
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    (word.len() <= 40 && word.chars().all(plain)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_is_asked_again() {
        let told = |status: u16, after: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            again(StatusCode::from_u16(status).unwrap(), &headers)
        };
        assert_eq!(told(429, "7"), Again::After(Duration::from_secs(7)));
        assert_eq!(told(503, "0.5"), Again::After(Duration::from_millis(500)));
        assert_eq!(told(500, "Wed, 21 Oct 2026 07:28:00 GMT"), Again::Soon);
        assert_eq!(told(429, "-1"), Again::Soon);
        assert_eq!(told(401, "7"), Again::Never);
        assert_eq!(told(400, "7"), Again::Never);
    }

    #[test]
    fn a_providers_word_is_kept_and_its_sentence_is_not() {
        let openai = br#"{"error":{"message":"Incorrect API key: sk-abc","type":"invalid_request_error","code":"invalid_api_key"}}"#;
        assert_eq!(code(openai).as_deref(), Some("invalid_api_key"));
        let gemini =
            br#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#;
        assert_eq!(code(gemini).as_deref(), Some("INVALID_ARGUMENT"));
        let sentence = br#"{"error":{"code":"the text 'x y' is too long"}}"#;
        assert_eq!(code(sentence), None);
        assert_eq!(code(b"<html>"), None);
        assert_eq!(code(br#"{"message":"invalid api token"}"#), None);
    }
}
