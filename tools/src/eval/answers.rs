//! Asking for whole answers, through the use case that readers' questions go through.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use shared::{
    App,
    chat::{self, Ask, Event},
    config::Env,
    conversations::{Owner, store::Turn},
    http::{Call, Tasks},
};
use uuid::Uuid;

use super::{labels::Wanted, metrics::percentile, questions::Question};
use crate::Outcome;

/// A guest's history may be this long; older turns are left out.
const HISTORY_CHARS: usize = 8000;
/// … and may have so many turns.
const HISTORY_TURNS: usize = 10;

/// The names of the shares that [`sum_up`] makes.
pub(super) const SHARES: [&str; 5] = [
    "refusal_recall",
    "false_refusals",
    "unsupported",
    "citation_precision",
    "relevant_cited",
];

/// What became of one question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answered {
    /// The book does not answer it, says the answer.
    pub refused: bool,
    /// No citation survived checking.
    pub unsupported: bool,
    /// The pages that were cited.
    pub cited: BTreeSet<String>,
    /// How many of them are relevant.
    pub cited_relevant: usize,
    /// What was down.
    pub degraded: Vec<String>,
    /// The code of the error, when there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tokens of the prompt and of the answer.
    pub tokens: (u32, u32),
}

/// Times of one answer, in milliseconds. They differ from run to run, so they stand apart.
pub(super) struct Took {
    first_ms: Option<u64>,
    whole_ms: u64,
}

/// What all answers together say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Summary {
    /// The model; `extractive` for none.
    pub model: String,
    /// Questions that were asked.
    pub asked: usize,
    /// Answers that broke off or never came.
    pub failed: usize,
    /// What was down, with the number of answers.
    pub degraded: BTreeMap<String, usize>,
    /// Shares between 0 and 1, by name; absent when no question could show them.
    pub shares: BTreeMap<String, f64>,
    /// Tokens of all prompts.
    pub input_tokens: u64,
    /// Tokens of all answers.
    pub output_tokens: u64,
}

/// A reader who leaves no trace.
pub(super) struct Reader {
    app: &'static App,
    timeout: Duration,
    model: String,
}

impl Reader {
    /// Takes the settings as they are, but for whatever would keep the answers: the log is
    /// for the questions of readers.
    pub(super) async fn new(env: &Env) -> Outcome<Self> {
        let timeout = Duration::from_secs(env.parse("AGENT_TIMEOUT", 30)?);
        let env = env
            .clone()
            // Nobody listens there: a database that is away stops no answer.
            .with("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .with("NEON_DATABASE_URL", "")
            .with("FALLBACK_STORAGE", "")
            .with("DAILY_ANSWERS", "");
        let app: &'static App = Box::leak(Box::new(App::new(env)));
        let model = app.llm().await?.model().to_owned();
        Ok(Self { app, timeout, model })
    }

    /// The model that answers.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Asks one question.
    pub(super) async fn ask(
        &self,
        question: &Question,
        wanted: &Wanted,
    ) -> (Answered, Took) {
        // It would be said for every answer that it could not be kept.
        let silence =
            tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
        let began = Instant::now();
        let tasks = Tasks::default();
        let call = Call {
            request_id: Uuid::now_v7(),
            deadline: began + self.timeout,
            tasks: tasks.clone(),
        };
        let ask = Ask {
            history: history(question),
            ..Ask::new(Owner::Guest, question.text.clone())
        };
        let mut answered = Answered::default();
        let mut first_ms = None;
        match chat::start(self.app, &call, ask).await {
            Err(err) => answered.error = Some(err.code().to_owned()),
            Ok(mut started) => {
                while let Some(event) = started.next().await {
                    match event {
                        Event::Text(_) => {
                            first_ms.get_or_insert_with(|| milliseconds(began));
                        }
                        Event::Done(answer) => answered = judged(*answer, wanted),
                        Event::Failed(failure) => {
                            answered.error = Some(failure.code().to_owned());
                        }
                        Event::Searching | Event::Asking(_) => {}
                    }
                }
            }
        }
        let whole_ms = milliseconds(began);
        tasks.done().await;
        drop(silence);
        (answered, Took { first_ms, whole_ms })
    }
}

fn history(question: &Question) -> Vec<Turn> {
    let mut chars = 0;
    let newest = question.history.iter().rev().take(HISTORY_TURNS);
    let fitting = newest.take_while(|it| {
        chars += it.text.chars().count();
        chars <= HISTORY_CHARS
    });
    let mut turns: Vec<_> = fitting.cloned().collect();
    turns.reverse();
    turns
}

fn judged(answer: chat::Answer, wanted: &Wanted) -> Answered {
    let cited: BTreeSet<String> =
        answer.sources.into_iter().filter_map(|it| it.path).collect();
    Answered {
        refused: answer.refused,
        unsupported: answer.unsupported,
        cited_relevant: cited.iter().filter(|it| wanted.has_page(it)).count(),
        cited,
        degraded: answer.degraded.into_iter().filter(|it| it != "database").collect(),
        error: None,
        tokens: (answer.usage.input_tokens, answer.usage.output_tokens),
    }
}

/// Sums up. Shares: `refusal_recall` of the unanswerable questions that were refused,
/// `false_refusals` of the answerable ones that were, `unsupported` of the answers that were
/// given without a source, `citation_precision` of the cited pages that are relevant,
/// `relevant_cited` of the answers to questions with a relevant page that cite one.
pub(super) fn sum_up<'a>(
    model: &str,
    all: impl Iterator<Item = (&'a Question, &'a Wanted, &'a Answered)>,
) -> Summary {
    let mut summary = Summary { model: model.to_owned(), ..Summary::default() };
    let mut shares: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut count = |name: &'static str, part: usize, whole: usize| {
        let share = shares.entry(name).or_default();
        *share = (share.0 + part, share.1 + whole);
    };
    for (question, wanted, answered) in all {
        summary.asked += 1;
        summary.input_tokens += u64::from(answered.tokens.0);
        summary.output_tokens += u64::from(answered.tokens.1);
        for service in &answered.degraded {
            *summary.degraded.entry(service.clone()).or_default() += 1;
        }
        if answered.error.is_some() {
            summary.failed += 1;
            continue;
        }
        match question.answerable {
            Some(false) => count("refusal_recall", usize::from(answered.refused), 1),
            Some(true) => count("false_refusals", usize::from(answered.refused), 1),
            None => {}
        }
        if answered.refused {
            continue;
        }
        count("unsupported", usize::from(answered.unsupported), 1);
        if !wanted.is_empty() {
            count("citation_precision", answered.cited_relevant, answered.cited.len());
            count("relevant_cited", usize::from(answered.cited_relevant > 0), 1);
        }
    }
    summary.shares = shares
        .into_iter()
        .filter(|(_, (_, whole))| *whole > 0)
        .map(|(name, (part, whole))| (name.to_owned(), part as f64 / whole as f64))
        .collect();
    summary
}

/// First token and whole answer, each at the middle and at 95 %, in milliseconds.
pub(super) fn times(all: &[Took]) -> BTreeMap<&'static str, u64> {
    let first: Vec<u64> = all.iter().filter_map(|it| it.first_ms).collect();
    let whole: Vec<u64> = all.iter().map(|it| it.whole_ms).collect();
    let named = [
        ("first_token_ms_p50", percentile(&first, 0.5)),
        ("first_token_ms_p95", percentile(&first, 0.95)),
        ("answer_ms_p50", percentile(&whole, 0.5)),
        ("answer_ms_p95", percentile(&whole, 0.95)),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn milliseconds(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}
