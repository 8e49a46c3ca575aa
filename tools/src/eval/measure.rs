//! Asking every question, one after the other.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shared::{App, config::Env, retrieval::Mode};

use super::{
    answers::{self, Answered, Reader},
    labels::{self, Catalogue, Flaw, Wanted},
    metrics,
    questions::{Question, Questions},
    results::{self, PerQuestion, Results},
    search,
};
use crate::Outcome;

/// What is asked for.
#[derive(Debug)]
pub(super) struct How<'a> {
    /// The ranking that counts.
    pub mode: Mode,
    /// Passages of each ranking.
    pub top_k: usize,
    /// Whole answers, too.
    pub answers: bool,
    /// The names of the numbers that will be asked for.
    pub numbers: Vec<&'a str>,
}

/// Questions, each with what it should find.
type Understood<'a> = Vec<(&'a Question, Wanted)>;

/// Asks every question; the results, and the run in lines.
pub(super) async fn measure(
    questions: &Questions,
    how: How<'_>,
    env: &Env,
) -> Outcome<(Results, String)> {
    let app = App::new(env.clone());
    let book = app.book().await?;
    let rankings = search::rankings(how.mode, search::has_dense(book, how.mode).await?);
    let through = rankings.iter().copied().map(search::name).collect::<Vec<_>>();
    how.numbers.iter().try_for_each(|it| results::check(it, &through, how.answers))?;
    let reader = if how.answers { Some(Reader::new(env).await?) } else { None };
    let (all, missing) = understood(&questions.all, &Catalogue::of(env))?;
    let bar = ProgressBar::new(all.len() as u64);
    bar.set_style(ProgressStyle::with_template("asking {wide_bar} {pos}/{len} {eta}")?);

    let mut per_question = Vec::new();
    let mut run = String::new();
    let (mut search_ms, mut answer_times) = (Vec::new(), Vec::new());
    let mut book_version = None;
    for (question, wanted) in &all {
        let searched = search::search(book, question, wanted, &rankings, how.top_k).await;
        let searched =
            searched.map_err(|err| format!("question {}: {err}", question.id))?;
        let mut answer = None;
        if let Some(reader) = &reader {
            let (answered, took) = reader.ask(question, wanted).await;
            answer = Some(answered);
            answer_times.push(took);
        }
        run.push_str(&run_line(question, &searched, answer.as_ref(), questions));
        search_ms.push(searched.took_ms);
        book_version = searched.book_version;
        per_question.push(PerQuestion {
            id: question.id.clone(),
            text: question.text.clone(),
            relevant: question.relevant.keys().cloned().collect(),
            answerable: question.answerable,
            ranks: searched.ranks,
            found: searched.found,
            confidence: searched.confidence,
            answer,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();

    let mut took = answers::times(&answer_times);
    let named = [("search_ms_p50", 0.5), ("search_ms_p95", 0.95)];
    took.extend(named.into_iter().filter_map(|(name, share)| {
        Some((name, metrics::percentile(&search_ms, share)?))
    }));
    let answers = reader.map(|reader| {
        let answered = per_question.iter().filter_map(|it| it.answer.as_ref());
        let asked = all.iter().zip(answered);
        answers::sum_up(reader.model(), asked.map(|((q, wanted), it)| (*q, wanted, it)))
    });
    let results = Results {
        format: Results::FORMAT,
        book_version,
        main: search::name(rankings[0]).to_owned(),
        top_k: how.top_k,
        questions: all.len(),
        judged: all.iter().filter(|(_, wanted)| !wanted.is_empty()).count(),
        drafts: all.iter().filter(|(question, _)| question.is_draft).count(),
        missing,
        metrics: Results::means(&per_question),
        answerability_auroc: answerability(&per_question),
        answers,
        per_question,
        took: took.into_iter().map(|(name, ms)| (name.to_owned(), ms)).collect(),
    };
    Ok((results, run))
}

/// Each question with what it should find, and what of that is not in the book. Fails when
/// nothing of it is: it is another book, or its pages have other names.
fn understood<'a>(
    questions: &'a [Question],
    catalogue: &Catalogue,
) -> Outcome<(Understood<'a>, Vec<String>)> {
    let mut missing = Vec::new();
    let mut is_of_the_book = questions.iter().all(|it| it.relevant.is_empty());
    let all = questions
        .iter()
        .map(|question| {
            let (wanted, flawed) = catalogue.understand(&question.relevant);
            let gone =
                flawed.iter().filter(|(_, flaw)| *flaw != Flaw::HeadingInside).count();
            is_of_the_book |= gone < question.relevant.len();
            let place = format!("question {} (line {})", question.id, question.line);
            missing.extend(flawed.iter().map(|(label, flaw)| {
                format!("{place}: relevant: \"{label}\" {}", flaw.words())
            }));
            (question, wanted)
        })
        .collect();
    if let Some(first) = missing.first().filter(|_| !is_of_the_book) {
        return Err(format!(
            "nothing that the questions call relevant is in the book; {first}"
        )
        .into());
    }
    Ok((all, missing))
}

fn answerability(all: &[PerQuestion]) -> Option<f64> {
    let of = |label: bool| -> Vec<f64> {
        let labelled = all.iter().filter(|it| it.answerable == Some(label));
        labelled.map(|it| it.confidence).collect()
    };
    metrics::auroc(&of(true), &of(false))
}

/// One line of a run: pages, best first, each once, under the names that the set gives them.
fn run_line(
    question: &Question,
    searched: &search::Searched,
    answer: Option<&Answered>,
    questions: &Questions,
) -> String {
    let mut docs: Vec<(&str, f64)> = Vec::new();
    for (path, score) in &searched.run {
        let named =
            |it: &str| questions.documents.as_ref().is_some_and(|all| all.contains(it));
        let stem = labels::stem(path);
        let name = if !named(path) && named(stem) { stem } else { path };
        if docs.iter().all(|(it, _)| *it != name) {
            docs.push((name, *score));
        }
    }
    let mut line = json!({
        "qid": question.id,
        "docs": docs,
        "confidence": searched.confidence,
    });
    if let Some(answer) = answer {
        line["answerable"] = json!(!answer.refused);
    }
    format!("{line}\n")
}
