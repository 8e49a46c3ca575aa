//! Counting: from rows of the log to the numbers of a report.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::{
    gaps::{Gap, Kind},
    headings::{self, Cluster, Opinion},
    log::Row,
};
use crate::eval::metrics::percentile;

/// Counts by name.
pub(super) type Counts = BTreeMap<String, usize>;

/// A whole report, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// How far back it looks, as it was asked for.
    pub since: String,
    /// The first and the last day (UTC) with an answer.
    pub days: Option<(String, String)>,
    /// How much there was.
    pub totals: Totals,
    /// Answers by day.
    pub per_day: Counts,
    /// What is asked most, as far as it was asked often enough to be shown.
    pub asked: Vec<Asked>,
    /// Different questions that were asked too seldom to be shown.
    pub asked_seldom: usize,
    /// Questions that the book did not answer well, by the nearest heading.
    pub gaps: Vec<Cluster>,
    /// What readers thought of their answers, by the nearest heading.
    pub opinions: Vec<Opinion>,
    /// Refusals and unsupported answers, by the reason in the log.
    pub refusals: Counts,
    /// What readers thought of their answers, by its word.
    pub feedback: Counts,
    /// Answers that were made while something was down.
    pub degraded: Counts,
    /// Failures by code.
    pub errors: Counts,
    /// Answers by model; `extractive` for quotations.
    pub models: Counts,
    /// Milliseconds.
    pub latency: Latency,
    /// Tokens.
    pub tokens: Tokens,
    /// What the tokens cost, in the unit of the prices; absent without prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

/// How much there was.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Totals {
    /// Questions, failures included.
    pub questions: usize,
    /// Readers with an account, each once.
    pub readers: usize,
    /// Questions of guests.
    pub by_guests: usize,
    /// Conversations, each once.
    pub conversations: usize,
    /// Answers that a model wrote.
    pub by_model: usize,
    /// Answers that quote the book without a model.
    pub extractive: usize,
    /// “The book does not say.”
    pub refused: usize,
    /// Answers without a source that held.
    pub unsupported: usize,
    /// Answers that their reader found no good.
    pub disliked: usize,
    /// Refused, unsupported or disliked: still open for whoever asked.
    pub unresolved: usize,
    /// Answers from passages that hardly bear on the question.
    pub low_score: usize,
    /// No answer, or half of one.
    pub failed: usize,
}

/// A question that many asked.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Asked {
    /// Its words, as [`normalised`] leaves them.
    pub question: String,
    /// How often.
    pub count: usize,
}

/// Milliseconds to the first word and to the end, at the middle and at 95 %.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Latency {
    pub first_token_ms_p50: Option<i32>,
    pub first_token_ms_p95: Option<i32>,
    pub answer_ms_p50: Option<i32>,
    pub answer_ms_p95: Option<i32>,
}

/// Tokens of all answers.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Tokens {
    /// Of the prompts.
    pub input: u64,
    /// Of the answers.
    pub output: u64,
    /// Answers whose provider did not count, so that we had to guess.
    pub estimated_answers: usize,
}

/// Prices per million tokens, in any currency.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    pub input: f64,
    pub output: f64,
}

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// Words are shown only of questions that were asked at least so often.
    pub min_count: usize,
    /// Lines of a list.
    pub top: usize,
}

/// One question, whatever its case, its spaces and its last mark.
pub(super) fn normalised(question: &str) -> String {
    let text: String = question.nfkc().flat_map(char::to_lowercase).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let marks =
        |c: char| c.is_whitespace() || matches!(c, '?' | '!' | '.' | '。' | '।' | '؟');
    text.trim_end_matches(marks).to_owned()
}

/// Counts everything.
pub(super) fn count(
    rows: &[Row],
    gaps: &[Gap],
    prices: Option<Prices>,
    shown: Shown,
) -> Report {
    let tokens = tokens(rows);
    let (asked, asked_seldom) = most_asked(rows.iter(), shown);
    let refusals = rows.iter().filter(|it| it.is_refused() || it.is_unsupported());
    let feedback = rows.iter().filter_map(|it| it.feedback.as_ref());
    let degraded = rows.iter().flat_map(|row| {
        let services = row.metadata["degraded"].as_array().cloned().unwrap_or_default();
        services.into_iter().filter_map(|it| it.as_str().map(str::to_owned))
    });
    let models = rows.iter().filter(|row| row.error.is_none() && !row.model.is_empty());
    let (first, last) = (rows.first(), rows.last());
    Report {
        since: String::new(),
        days: first.zip(last).map(|(a, b)| (a.day.clone(), b.day.clone())),
        totals: totals(rows, gaps),
        per_day: counted(rows.iter().map(|it| it.day.clone())),
        asked,
        asked_seldom,
        gaps: headings::clusters(rows, gaps, shown),
        opinions: headings::opinions(rows, gaps),
        refusals: counted(refusals.map(|it| it.reason().to_owned())),
        feedback: counted(feedback.map(|it| it.kind.clone())),
        degraded: counted(degraded),
        errors: counted(rows.iter().filter_map(|it| it.error.clone())),
        models: counted(models.map(|it| it.model.clone())),
        latency: latency(rows),
        cost: prices.map(|it| {
            (tokens.input as f64 * it.input + tokens.output as f64 * it.output) / 1e6
        }),
        tokens,
        notes: Vec::new(),
    }
}

fn counted(names: impl Iterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

fn totals(rows: &[Row], gaps: &[Gap]) -> Totals {
    let distinct = |of: fn(&Row) -> Option<&String>| {
        rows.iter().filter_map(of).collect::<HashSet<_>>().len()
    };
    let many = |of: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| of(row)).count();
    Totals {
        questions: rows.len(),
        readers: distinct(|it| it.reader.as_ref()),
        by_guests: many(&|it| it.reader.is_none()),
        conversations: distinct(|it| it.conversation.as_ref()),
        by_model: many(&|it| {
            it.error.is_none() && !it.model.is_empty() && it.model != "extractive"
        }),
        extractive: many(&|it| it.error.is_none() && it.model == "extractive"),
        refused: many(&Row::is_refused),
        unsupported: many(&Row::is_unsupported),
        disliked: many(&Row::is_disliked),
        unresolved: many(&Row::is_unresolved),
        low_score: gaps.iter().filter(|it| it.kind == Some(Kind::LowScore)).count(),
        failed: many(&|it| it.error.is_some()),
    }
}

/// The questions that were asked most, and how many different ones are not shown because
/// too few asked them: words that only one reader wrote may say who that was.
pub(super) fn most_asked<'a>(
    rows: impl Iterator<Item = &'a Row>,
    shown: Shown,
) -> (Vec<Asked>, usize) {
    let counts =
        counted(rows.map(|it| normalised(&it.question)).filter(|it| !it.is_empty()));
    let all = counts.len();
    let mut asked: Vec<Asked> = counts
        .into_iter()
        .filter(|(_, count)| *count >= shown.min_count)
        .map(|(question, count)| Asked { question, count })
        .collect();
    let seldom = all - asked.len();
    asked.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.question.cmp(&b.question)));
    asked.truncate(shown.top);
    (asked, seldom)
}

fn latency(rows: &[Row]) -> Latency {
    let whole = rows.iter().filter(|it| it.error.is_none());
    let first: Vec<i32> = whole.clone().filter_map(|it| it.first_ms).collect();
    let whole: Vec<i32> = whole.map(|it| it.took_ms).collect();
    Latency {
        first_token_ms_p50: percentile(&first, 0.5),
        first_token_ms_p95: percentile(&first, 0.95),
        answer_ms_p50: percentile(&whole, 0.5),
        answer_ms_p95: percentile(&whole, 0.95),
    }
}

fn tokens(rows: &[Row]) -> Tokens {
    let of = |row: &Row, name: &str| row.usage[name].as_u64().unwrap_or(0);
    Tokens {
        input: rows.iter().map(|it| of(it, "input_tokens")).sum(),
        output: rows.iter().map(|it| of(it, "output_tokens")).sum(),
        estimated_answers: rows.iter().filter(|it| it.usage["estimated"] == true).count(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::log::Feedback;

    const SHOWN: Shown = Shown { min_count: 2, top: 10 };

    fn row(question: &str) -> Row {
        Row { question: question.into(), day: "2026-01-01".into(), ..Row::default() }
    }

    #[test]
    fn a_question_is_the_same_whatever_its_case_and_its_last_mark() {
        for spelling in ["What moves", " what  Moves?", "WHAT MOVES ?!", "What\nmoves？"]
        {
            assert_eq!(normalised(spelling), "what moves", "{spelling}");
        }
        assert_eq!(normalised("v1.0"), "v1.0");
    }

    #[test]
    fn words_that_too_few_wrote_are_counted_and_not_shown() {
        let rows = [row("What moves?"), row("what moves"), row("Where is my key, Anna?")];
        let gap = |row| Gap { row, kind: Some(Kind::Refused), heading: None };
        let report = count(&rows, &[gap(0), gap(1), gap(2)], None, SHOWN);
        let shown = [Asked { question: "what moves".into(), count: 2 }];
        assert_eq!(report.asked, shown);
        assert_eq!(report.asked_seldom, 1);
        assert_eq!(report.gaps[0].questions, 3);
        assert_eq!(report.gaps[0].examples, shown);
        assert!(!serde_json::to_string(&report).unwrap().contains("anna"));
    }

    #[test]
    fn what_was_asked_is_counted_by_who_how_and_what_for() {
        let rows = [
            Row {
                reader: Some("a".into()),
                conversation: Some("1".into()),
                model: "m".into(),
                took_ms: 30,
                first_ms: Some(10),
                usage: json!({ "input_tokens": 800_000, "output_tokens": 100_000, "estimated": true }),
                metadata: json!({ "refused": true, "reason": "model_refused" }),
                feedback: Some(Feedback { kind: "negative".into(), reason: None }),
                ..row("x")
            },
            Row {
                reader: Some("a".into()),
                conversation: Some("1".into()),
                model: "extractive".into(),
                took_ms: 10,
                metadata: json!({ "degraded": ["llm"], "unsupported": true, "reason": "no_valid_citation" }),
                ..row("y")
            },
            Row { error: Some("timeout".into()), took_ms: 9999, ..row("z") },
        ];
        let prices = Prices { input: 2.5, output: 10.0 };
        let report = count(&rows, &[], Some(prices), SHOWN);
        let totals = Totals {
            questions: 3,
            readers: 1,
            by_guests: 1,
            conversations: 1,
            by_model: 1,
            extractive: 1,
            refused: 1,
            unsupported: 1,
            disliked: 1,
            unresolved: 2,
            low_score: 0,
            failed: 1,
        };
        assert_eq!(report.totals, totals);
        assert!((report.cost.unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(report.latency.answer_ms_p95, Some(30), "failures are no answers");
        assert_eq!(report.tokens.estimated_answers, 1);
        assert_eq!(report.refusals.len(), 2);
        assert_eq!((report.degraded["llm"], report.errors["timeout"]), (1, 1));
    }

    #[test]
    fn an_empty_log_is_a_report_of_nothing() {
        let report = count(&[], &[], None, SHOWN);
        assert_eq!((report.totals, report.days), (Totals::default(), None));
        assert_eq!(report.latency, Latency::default());
    }
}
