//! A model that says what it was told to say. For tests.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Delta, Deltas, Limits, unavailable};
use crate::{Error, Result, config::Env};

/// How long a reader has to come back, or to stop.
const PAUSE: Duration = Duration::from_secs(1);

/// `LLM_SCRIPT`: steps with `|` between them, inline or, as `file:<path>`, in a file. A step
/// is text, or `{{fail}}`, `{{stall}}` or `{{panic}}`; text that begins with `{{pause}}` comes a
/// second later. It does not count its tokens.
#[derive(Debug)]
pub struct Scripted {
    steps: Vec<Step>,
    limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Say(String),
    SayLater(String),
    Fail,
    Stall,
    Panic,
}

impl Scripted {
    pub(super) fn from_env(env: &Env) -> Result<Self> {
        let script = env.need("LLM_SCRIPT")?;
        let limits = Limits::from_env(env)?;
        let Some(path) = script.strip_prefix("file:") else {
            return Ok(Self { steps: parse(script), limits });
        };
        let text = std::fs::read_to_string(path)
            .map_err(|_| Error::Misconfigured("LLM_SCRIPT"))?;
        Ok(Self { steps: parse(text.trim()), limits })
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn stream(&self) -> Deltas {
        stream::iter(self.steps.clone()).then(Step::play).boxed()
    }
}

impl Step {
    async fn play(self) -> Result<Delta> {
        match self {
            Self::Say(text) => Ok(Delta::Text(text)),
            Self::SayLater(text) => {
                tokio::time::sleep(PAUSE).await;
                Ok(Delta::Text(text))
            }
            Self::Fail => Err(unavailable("the script says so")),
            Self::Stall => std::future::pending().await,
            Self::Panic => panic!("the script says so"),
        }
    }
}

fn parse(script: &str) -> Vec<Step> {
    let pieces = script.split('|').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| match piece.trim() {
            "{{fail}}" => Step::Fail,
            "{{stall}}" => Step::Stall,
            "{{panic}}" => Step::Panic,
            _ => match piece.strip_prefix("{{pause}}") {
                Some(text) => Step::SayLater(text.to_owned()),
                None => Step::Say(piece.to_owned()),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_text_and_accidents() {
        let steps = parse("One| two [1].||{{pause}} three|{{stall}}|{{fail}}|{{panic}}");
        let say = |text: &str| Step::Say(text.into());
        let later = Step::SayLater(" three".into());
        assert_eq!(steps[..3], [say("One"), say(" two [1]."), later]);
        assert_eq!(steps[3..], [Step::Stall, Step::Fail, Step::Panic]);
    }

    #[tokio::test]
    async fn it_plays_step_by_step() {
        let env = Env::from([("LLM_SCRIPT", "a|b|{{fail}}")]);
        let scripted = Scripted::from_env(&env).unwrap();
        let items: Vec<_> = scripted.stream().collect().await;
        let text = |it: &Result<Delta>| matches!(it, Ok(Delta::Text(_)));
        assert!(text(&items[0]) && text(&items[1]) && items[2].is_err());
    }

    #[test]
    fn a_missing_script_is_a_wrong_setting() {
        for env in [Env::default(), Env::from([("LLM_SCRIPT", "file:/nowhere/at/all")])] {
            let scripted = Scripted::from_env(&env);
            assert!(matches!(scripted, Err(Error::Misconfigured("LLM_SCRIPT"))));
        }
    }
}
