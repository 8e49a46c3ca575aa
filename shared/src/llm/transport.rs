//! The way to a model and back: sending, one retry, and the reply as it comes.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use reqwest::{RequestBuilder, Response, StatusCode, header::HeaderMap};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::{sleep, timeout};

use super::{Delta, Deltas, Progress, Said, error_code, sse::Parser, unavailable};
use crate::Result;

/// How a vendor's event is read.
pub(super) type Decode = fn(&str) -> Result<Said>;

/// The longest wait that a provider may ask for before the one retry; a reader who waits
/// longer is better served without a model.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How long the count may take after the last token. The answer is complete by then, so
/// it is not worth more.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the end of the body may lag behind the end mark. Without it the connection cannot
/// be used again, and the next question pays for a new one.
const END_OF_BODY: Duration = Duration::from_millis(50);

/// As much of an error's body as is read, in bytes; its code stands at the start.
const ERROR_BODY: usize = 16 << 10;

/// Why a provider did not begin to answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection, or none that lasted until the reply began.
    #[error("no connection")]
    Unreachable(#[source] reqwest::Error),
    /// An answer other than 2xx.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// What a refusal may tell the log: the words of its body are not among it, because they may
/// repeat the prompt or the key.
#[derive(Debug, thiserror::Error)]
#[error(
    "status {}, code {}, request {}, retry after {} s",
    status.as_u16(),
    code.as_deref().unwrap_or("-"),
    request_id.as_deref().unwrap_or("-"),
    retry_after.map_or_else(|| "-".into(), |wait| wait.as_secs().to_string()),
)]
pub(super) struct Refused {
    /// The status.
    status: StatusCode,
    /// The vendor's own code, `insufficient_quota` for one.
    code: Option<String>,
    /// The vendor's name for this request, to ask its support about.
    request_id: Option<String>,
    /// When a new attempt makes sense, if the vendor said so.
    retry_after: Option<Duration>,
}

impl Failure {
    /// How long to wait before the retry; `None` when it makes no sense. A connection that
    /// broke before the reply began is most often a pooled one that died while the function
    /// was frozen.
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Unreachable(err) if err.is_connect() || err.is_request() => {
                Some(Duration::ZERO)
            }
            Self::Refused(Refused { status, retry_after, .. })
                if [429, 503].contains(&status.as_u16()) =>
            {
                retry_after.filter(|wait| *wait <= LONGEST_WAIT)
            }
            _ => None,
        }
    }
}

/// Sends the request and decodes every event of the reply.
pub(super) async fn send(request: RequestBuilder, decode: Decode) -> Result<Deltas> {
    let second = request.try_clone();
    let response = match (open(request).await, second) {
        (Ok(response), _) => response,
        (Err(failure), Some(second)) => {
            let Some(wait) = failure.wait() else { return Err(unavailable(failure)) };
            tracing::warn!(%failure, "the model is asked once more");
            sleep(wait).await;
            open(second).await.map_err(unavailable)?
        }
        (Err(failure), None) => return Err(unavailable(failure)),
    };
    let reply = Reply::new(response.bytes_stream().boxed(), decode);
    Ok(stream::try_unfold(reply, async |mut reply| {
        Ok(reply.next().await?.map(|delta| (delta, reply)))
    })
    .boxed())
}

/// Sends a request whose answer matters only by its status.
pub(super) async fn check(request: RequestBuilder) -> Result<()> {
    open(request).await.map(drop).map_err(unavailable)
}

async fn open(request: RequestBuilder) -> Result<Response, Failure> {
    let response =
        request.send().await.map_err(|err| Failure::Unreachable(err.without_url()))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let mut refused = Refused {
        status: response.status(),
        code: None,
        request_id: request_id(response.headers()),
        retry_after: retry_after(response.headers()),
    };
    refused.code = body_code(response).await;
    Err(refused.into())
}

/// The code in an error's body: `{"error":{…}}`, or the same in a list (Gemini).
async fn body_code(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && body.len() + chunk.len() <= ERROR_BODY
    {
        body.extend_from_slice(&chunk);
    }
    let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
    error_code(body.get(0).unwrap_or(&body).get("error")?)
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "apim-request-id", "request-id"];
    let id = names.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    (id.len() <= 64 && id.chars().all(plain)).then(|| id.to_owned())
}

/// `retry-after-ms` (OpenAI), or `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(Ok(ms)) = text("retry-after-ms").map(str::parse::<f64>) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    Some((date - OffsetDateTime::now_utc()).try_into().unwrap_or_default())
}

/// A reply that is being read.
struct Reply {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    parser: Parser,
    events: VecDeque<String>,
    deltas: VecDeque<Delta>,
    progress: Progress,
    decode: Decode,
}

impl Reply {
    fn new(body: BoxStream<'static, reqwest::Result<Bytes>>, decode: Decode) -> Self {
        Self {
            body,
            parser: Parser::default(),
            events: VecDeque::new(),
            deltas: VecDeque::new(),
            progress: Progress::Open,
            decode,
        }
    }

    /// The next delta; `None` at the end that the provider marked.
    async fn next(&mut self) -> Result<Option<Delta>> {
        loop {
            if let Some(delta) = self.deltas.pop_front() {
                return Ok(Some(delta));
            }
            if self.progress == Progress::End {
                timeout(END_OF_BODY, self.body.next()).await.ok();
                return Ok(None);
            }
            match self.events.pop_front() {
                Some(event) => self.take(&event)?,
                None => self.read().await?,
            }
        }
    }

    fn take(&mut self, event: &str) -> Result<()> {
        if event.is_empty() {
            return Ok(());
        }
        let Said { deltas, progress } = (self.decode)(event)?;
        self.deltas.extend(deltas);
        // The count comes after the last token and must not open the reply again.
        self.progress = self.progress.max(progress);
        Ok(())
    }

    /// Reads on until there are events, or the end.
    async fn read(&mut self) -> Result<()> {
        let bytes = if self.progress == Progress::Finished {
            // Whatever goes wrong from here on, the answer is whole.
            timeout(LAST_WORDS, self.body.next())
                .await
                .ok()
                .flatten()
                .and_then(Result::ok)
        } else {
            let bytes = self.body.next().await.transpose();
            bytes.map_err(|err| unavailable(err.without_url()))?
        };
        if let Some(bytes) = bytes {
            self.events.extend(self.parser.feed(&bytes).map_err(unavailable)?);
            return Ok(());
        }
        let last = std::mem::take(&mut self.parser).finish().map_err(unavailable)?;
        if let Some(event) = last.filter(|_| self.progress == Progress::Open) {
            self.take(&event)?;
        }
        if self.progress == Progress::Open {
            return Err(unavailable("the reply broke off"));
        }
        self.progress = Progress::End;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )])
    }

    #[test]
    fn a_wait_is_read_in_all_its_spellings() {
        let wait = |name, value: &str| retry_after(&headers(name, value));
        assert_eq!(wait("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(wait("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        let past = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(wait("retry-after", past), Some(Duration::ZERO));
        assert!(
            wait("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT").unwrap() > LONGEST_WAIT
        );
        for value in ["soon", "-1", "NaN", "1e300"] {
            assert_eq!(wait("retry-after", value), None, "{value}");
        }
    }

    #[test]
    fn only_short_waits_are_waited_for() {
        let wait = |status: u16, seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            let status = StatusCode::from_u16(status).unwrap();
            let refused = Refused { status, code: None, request_id: None, retry_after };
            Failure::from(refused).wait()
        };
        assert_eq!(wait(429, Some(2)), Some(Duration::from_secs(2)));
        assert_eq!(wait(503, Some(0)), Some(Duration::ZERO));
        assert_eq!(wait(429, Some(3)), None);
        assert_eq!(wait(429, None), None);
        assert_eq!(wait(500, Some(1)), None);
    }

    #[test]
    fn an_odd_request_id_is_not_repeated() {
        let id = |value: &str| request_id(&headers("x-request-id", value));
        assert_eq!(id("req_0a-1").as_deref(), Some("req_0a-1"));
        assert_eq!(id("what you asked"), None);
        assert_eq!(id(&"x".repeat(65)), None);
    }
}
