//! `report.html` of an evaluation.

use super::{
    metrics::Difference,
    results::{PerQuestion, Results},
};
use crate::html_report::{Bar, Cell, Page, score};

/// Questions in the table of the worst.
const WORST: usize = 30;

/// The whole file.
pub(super) fn html(results: &Results, compared: &Compared) -> String {
    let mut page = Page::new("Evaluation");
    page.paragraph(&format!(
        "{} questions, {} of them with something relevant; {} passages each; the book's \
         version is {}.",
        results.questions,
        results.judged,
        results.top_k,
        results.book_version.as_deref().unwrap_or("unknown"),
    ));
    if results.drafts > 0 {
        page.paragraph(&format!(
            "{} questions are drafts that nobody has looked at: they repeat the book's own \
             headings, and readers do not.",
            results.drafts
        ));
    }
    tiles(&mut page, results);
    rankings(&mut page, results);
    difference(&mut page, compared);
    ranks(&mut page, results);
    answers(&mut page, results);
    worst(&mut page, results);
    if !results.missing.is_empty() {
        page.heading("Labels that are not in the book");
        let rows: Vec<_> =
            results.missing.iter().map(|it| vec![Cell::Text(it.clone())]).collect();
        page.table(&["label"], &rows);
    }
    page.finish()
}

/// What `--baseline` had to say: over how many questions, and each difference.
pub(super) type Compared = Option<(usize, Vec<(&'static str, Difference)>)>;

fn tiles(page: &mut Page, results: &Results) {
    let mut tiles: Vec<(&str, String)> = Vec::new();
    for name in ["ndcg@10", "recall@5", "mrr@10", "answerability_auroc"] {
        tiles.extend(results.number(name).map(|it| (name, score(it))));
    }
    let Some(answers) = &results.answers else { return page.tiles(&tiles) };
    tiles.extend(answers.shares.iter().map(|(name, it)| (name.as_str(), score(*it))));
    tiles.push(("model", answers.model.clone()));
    tiles.push(("answers", answers.asked.to_string()));
    tiles.push(("failed", answers.failed.to_string()));
    tiles.push(("input tokens", answers.input_tokens.to_string()));
    tiles.push(("output tokens", answers.output_tokens.to_string()));
    page.tiles(&tiles);
}

fn rankings(page: &mut Page, results: &Results) {
    page.heading("Rankings");
    for (level, words) in [
        ("page", "Pages (the best passage stands for its page)"),
        ("passage", "Passages"),
    ] {
        let mut bars = Vec::new();
        for measure in ["ndcg@10", "recall@5", "mrr@10"] {
            for (series, ranking) in results.metrics.keys().enumerate() {
                let value = results.number(&format!("{ranking}:{level}:{measure}"));
                let value = value.unwrap_or(0.0);
                let label = format!("{measure} {ranking}");
                bars.push(Bar { label, value, text: score(value), series });
            }
        }
        page.bars(words, &bars, 1.0);
    }
}

fn difference(page: &mut Page, compared: &Compared) {
    let Some((questions, differences)) = compared else { return };
    page.heading("Against the baseline");
    page.paragraph(&format!("Over the {questions} questions that both runs have."));
    let rows: Vec<_> = differences
        .iter()
        .map(|(name, it)| {
            vec![
                Cell::Text((*name).to_owned()),
                Cell::Number(format!("{:+.3}", it.mean)),
                Cell::Number(format!("{:+.3} … {:+.3}", it.interval.0, it.interval.1)),
                Cell::Text(verdict(it).to_owned()),
            ]
        })
        .collect();
    page.table(&["measure", "difference", "95 % of resamples", "verdict"], &rows);
}

/// What an interval means, in a word.
pub(super) fn verdict(difference: &Difference) -> &'static str {
    match (difference.is_clear(), difference.mean > 0.0) {
        (true, true) => "better",
        (true, false) => "worse",
        (false, _) => "no clear difference",
    }
}

fn ranks(page: &mut Page, results: &Results) {
    let ranks: Vec<Option<usize>> = results
        .per_question
        .iter()
        .filter_map(|it| it.ranks.get(&results.main))
        .map(|it| it.page)
        .collect();
    let bins = [(1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, usize::MAX)];
    let mut bars: Vec<Bar> = bins
        .into_iter()
        .map(|(from, to)| {
            let inside =
                |it: &&Option<usize>| it.is_some_and(|it| (from..=to).contains(&it));
            let label = match (from, to) {
                (from, to) if from == to => format!("place {from}"),
                (from, usize::MAX) => format!("place {from} and later"),
                (from, to) => format!("places {from} to {to}"),
            };
            bar(label, ranks.iter().filter(inside).count())
        })
        .collect();
    bars.push(bar(
        "not found".to_owned(),
        ranks.iter().filter(|it| it.is_none()).count(),
    ));
    page.heading("Where the first relevant page stood");
    page.bars("Questions by place", &bars, ranks.len() as f64);
}

/// What the answers are worth, how long they took, and which were wrong about the book.
fn answers(page: &mut Page, results: &Results) {
    let Some(answers) = &results.answers else { return };
    page.heading("Answers");
    let share = |(name, value): (&String, &f64)| Bar {
        label: name.clone(),
        value: *value,
        text: score(*value),
        series: 0,
    };
    let bars: Vec<Bar> = answers.shares.iter().map(share).collect();
    page.bars("Shares of the answers", &bars, 1.0);
    let most = results.took.values().max().copied().unwrap_or_default();
    let time = |(name, ms): (&String, &u64)| Bar {
        label: name.replace('_', " ").replace(" ms ", ", "),
        value: *ms as f64,
        text: format!("{ms} ms"),
        series: 1,
    };
    let bars: Vec<Bar> = results.took.iter().map(time).collect();
    page.bars("Times, in the middle and at 95 %", &bars, most as f64);
    for (service, count) in &answers.degraded {
        page.paragraph(&format!("{service} was down during {count} answers."));
    }
    for (heading, answerable, refused) in [
        ("Refused, although the book answers", true, true),
        ("Answered, although the book does not", false, false),
    ] {
        let is_wrong = |it: &&PerQuestion| {
            let answer = it.answer.as_ref().filter(|it| it.error.is_none());
            it.answerable == Some(answerable)
                && answer.is_some_and(|it| it.refused == refused)
        };
        let cells =
            |it: &PerQuestion| [&it.id, &it.text].map(|it| Cell::Text(it.clone())).into();
        let wrong = results.per_question.iter().filter(is_wrong).take(WORST);
        let rows: Vec<Vec<Cell>> = wrong.map(cells).collect();
        if !rows.is_empty() {
            page.paragraph(&format!("{heading}:"));
            page.table(&["id", "question"], &rows);
        }
    }
}

fn bar(label: String, count: usize) -> Bar {
    Bar { label, value: count as f64, text: count.to_string(), series: 0 }
}

fn worst(page: &mut Page, results: &Results) {
    let of =
        |it: &PerQuestion| it.ranks.get(&results.main)?.pages.get("ndcg@10").copied();
    let mut worst: Vec<(f64, &PerQuestion)> = results
        .per_question
        .iter()
        .filter_map(|it| Some((of(it)?, it)))
        .filter(|(value, _)| *value < 1.0)
        .collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rows: Vec<_> = worst
        .into_iter()
        .take(WORST)
        .map(|(value, it)| {
            let place = it.ranks.get(&results.main).and_then(|it| it.page);
            let found = it
                .found
                .iter()
                .map(|it| format!("{} ({})", it.place, it.title))
                .collect();
            vec![
                Cell::Text(it.id.clone()),
                Cell::Text(it.text.clone()),
                Cell::Number(score(value)),
                Cell::Number(place.map_or("–".to_owned(), |it| it.to_string())),
                Cell::Lines(it.relevant.clone()),
                Cell::Lines(found),
            ]
        })
        .collect();
    if !rows.is_empty() {
        page.heading("The worst questions");
        let head = ["id", "question", "ndcg@10", "place", "relevant", "found instead"];
        page.table(&head, &rows);
    }
}
