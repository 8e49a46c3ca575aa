//! How long a model may be silent.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::{Delta, Deltas, unavailable};
use crate::{Error, Result, config::Env};

/// The two time limits of a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    first_token: Duration,
    token: Duration,
}

impl Limits {
    /// Reads `LLM_FIRST_TOKEN_TIMEOUT` (10 s: half of a short `AGENT_TIMEOUT` is left for an
    /// answer without the model) and `LLM_TOKEN_TIMEOUT` (15 s), both in seconds.
    pub(super) fn from_env(env: &Env) -> Result<Self> {
        Ok(Self {
            first_token: seconds(env, "LLM_FIRST_TOKEN_TIMEOUT", 10.0)?,
            token: seconds(env, "LLM_TOKEN_TIMEOUT", 15.0)?,
        })
    }

    /// Opens a reply and waits for its first text; a reply without any is an error. Both,
    /// with the retry, share one limit. The other limit runs while the rest is waited for,
    /// not while a slow reader keeps us from asking for more.
    pub(super) async fn watch(
        self,
        reply: impl Future<Output = Result<Deltas>>,
    ) -> Result<Deltas> {
        let opening = async {
            let mut rest = reply.await?;
            let mut begun = Vec::new();
            while !matches!(begun.last(), Some(Delta::Text(_))) {
                let next = rest.next().await;
                begun.push(next.ok_or_else(|| unavailable("the reply had no text"))??);
            }
            Ok::<_, Error>((begun, rest))
        };
        let (begun, rest) =
            timeout(self.first_token, opening).await.map_err(|_| Error::Timeout)??;
        let rest = stream::unfold(Some(rest), move |rest| async move {
            let mut rest = rest?;
            match timeout(self.token, rest.next()).await {
                Ok(Some(Ok(delta))) => Some((Ok(delta), Some(rest))),
                Ok(Some(Err(err))) => Some((Err(err), None)),
                Ok(None) => None,
                Err(_) => Some((Err(Error::Timeout), None)),
            }
        });
        Ok(stream::iter(begun.into_iter().map(Ok)).chain(rest).boxed())
    }
}

fn seconds(env: &Env, name: &'static str, default: f64) -> Result<Duration> {
    let limit = Duration::try_from_secs_f64(env.parse(name, default)?)
        .map_err(|_| Error::Misconfigured(name))?;
    if limit.is_zero() { Err(Error::Misconfigured(name)) } else { Ok(limit) }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    const SHORT: Limits =
        Limits { first_token: Duration::from_millis(5), token: Duration::from_millis(5) };

    fn text(words: &str) -> Delta {
        Delta::Text(words.into())
    }

    fn stalling_after(deltas: Vec<Delta>) -> Deltas {
        stream::iter(deltas.into_iter().map(Ok)).chain(stream::pending()).boxed()
    }

    #[tokio::test]
    async fn silence_before_the_first_text_is_an_error_and_no_stream() {
        let usage = Delta::Usage(super::super::Usage::default());
        let reply = async { Ok(stalling_after(vec![usage])) };
        assert!(matches!(SHORT.watch(reply).await, Err(Error::Timeout)));
        let reply = std::future::pending();
        assert!(matches!(SHORT.watch(reply).await, Err(Error::Timeout)));
    }

    #[tokio::test]
    async fn silence_after_a_text_is_the_last_item() {
        let reply = async { Ok(stalling_after(vec![text("a"), text("b")])) };
        let items: Vec<_> = SHORT.watch(reply).await.unwrap().collect().await;
        assert!(matches!(items.as_slice(), [Ok(_), Ok(_), Err(Error::Timeout)]));
    }

    #[tokio::test]
    async fn a_reply_without_text_is_an_error() {
        let reply = async { Ok(stream::empty().boxed()) };
        let err = SHORT.watch(reply).await.err().unwrap();
        assert_eq!(err.chain(), "llm is unavailable: the reply had no text");
    }

    #[tokio::test]
    async fn nothing_is_lost_on_the_way() {
        let all = vec![text("a"), text("b")];
        let items = all.clone().into_iter().map(Ok);
        let reply = async { Ok(stream::iter(items).boxed()) };
        let got: Vec<_> = SHORT.watch(reply).await.unwrap().try_collect().await.unwrap();
        assert_eq!(got, all);
    }

    #[test]
    fn a_limit_of_nothing_is_a_wrong_setting() {
        for value in ["0", "-1", "soon", "inf", "NaN"] {
            let env = Env::from([("LLM_TOKEN_TIMEOUT", value)]);
            let limits = Limits::from_env(&env);
            assert!(matches!(limits, Err(Error::Misconfigured("LLM_TOKEN_TIMEOUT"))));
        }
        let env = Env::from([("LLM_FIRST_TOKEN_TIMEOUT", "2.5")]);
        let limits = Limits::from_env(&env).unwrap();
        assert_eq!(limits.first_token, Duration::from_millis(2500));
        assert_eq!(limits.token, Duration::from_secs(15));
    }
}
