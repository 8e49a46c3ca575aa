//! `lectern report --html`.

use super::{
    headings::{Cluster, Opinion, Reason},
    tally::{Asked, Counts, Report},
};
use crate::html_report::{Bar, Cell, Page};

/// Days of the plot; older ones are in the JSON.
const DAYS: usize = 31;

/// The whole file.
pub(super) fn html(report: &Report) -> String {
    let mut page = Page::new("What readers ask");
    page.paragraph(&super::head(report));
    page.tiles(&super::numbers(report));
    let per_day = report.per_day.iter().rev().take(DAYS).collect::<Vec<_>>();
    let per_day = per_day.into_iter().rev().map(|(day, count)| (day.clone(), *count));
    plot(&mut page, "Questions by day", per_day.collect());

    page.heading("Gaps in the book");
    page.paragraph(
        "Questions that were refused, answered without a source that held, disliked by their \
         reader, or answered from passages that hardly bear on them, by the nearest heading. \
         All but the last are unresolved: still open for whoever asked.",
    );
    let open = report.gaps.iter().filter(|it| it.unresolved > 0);
    let mut open: Vec<_> =
        open.map(|it| (name(it.heading.as_deref()).to_owned(), it.unresolved)).collect();
    open.sort_by_key(|it| std::cmp::Reverse(it.1));
    plot(&mut page, "Unresolved questions by nearest heading", open);
    let head = [
        "nearest heading",
        "questions",
        "unresolved",
        "refused",
        "unsupported",
        "disliked",
        "low score",
        "asked often",
    ];
    let rows: Vec<_> = report.gaps.iter().map(gap).collect();
    page.table(&head, &rows);

    if !report.opinions.is_empty() {
        page.heading("What readers thought");
        let head = ["nearest heading", "negative", "positive", "why"];
        let rows: Vec<_> = report.opinions.iter().map(opinion).collect();
        page.table(&head, &rows);
    }

    page.heading("Asked most");
    page.paragraph(&super::seldom(report));
    let rows: Vec<_> = report
        .asked
        .iter()
        .map(|it| {
            vec![Cell::Text(it.question.clone()), Cell::Number(it.count.to_string())]
        })
        .collect();
    page.table(&["question", "times"], &rows);

    for (heading, counts) in super::tables(report) {
        let Some(counts) = Some(counts).filter(|it| !it.is_empty()) else { continue };
        page.heading(heading);
        plot(&mut page, heading, counts_of(counts));
    }
    for note in &report.notes {
        page.paragraph(&format!("Note: {note}."));
    }
    page.finish()
}

/// A heading, in words.
pub(super) fn name(heading: Option<&str>) -> &str {
    heading.unwrap_or("(nothing in the book is near)")
}

fn gap(cluster: &Cluster) -> Vec<Cell> {
    let often = |it: &Asked| format!("{} ({}×)", it.question, it.count);
    let mut cells = vec![Cell::Text(name(cluster.heading.as_deref()).to_owned())];
    let Cluster { questions, unresolved, refused, .. } = cluster;
    let Cluster { unsupported, disliked, low_score, .. } = cluster;
    let counts = [questions, unresolved, refused, unsupported, disliked, low_score];
    cells.extend(counts.map(|it| Cell::Number(it.to_string())));
    cells.push(Cell::Lines(cluster.examples.iter().map(often).collect()));
    cells
}

fn opinion(opinion: &Opinion) -> Vec<Cell> {
    let said = |it: &Reason| format!("{}: {}", it.kind, it.words);
    vec![
        Cell::Text(name(opinion.heading.as_deref()).to_owned()),
        Cell::Number(opinion.negative.to_string()),
        Cell::Number(opinion.positive.to_string()),
        Cell::Lines(opinion.reasons.iter().map(said).collect()),
    ]
}

fn counts_of(counts: &Counts) -> Vec<(String, usize)> {
    counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
}

fn plot(page: &mut Page, title: &str, counts: Vec<(String, usize)>) {
    let most = counts.iter().map(|it| it.1).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let bar = |(label, count): (String, usize)| Bar {
        label,
        value: count as f64,
        text: count.to_string(),
        series: 0,
    };
    let bars: Vec<_> = counts.into_iter().map(bar).collect();
    page.bars(title, &bars, most as f64);
}
