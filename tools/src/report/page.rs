//! `lectern report --html`.

use super::tally::{Asked, Cluster, Counts, Report};
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
        "Questions that were refused, answered without a source that held, or answered from \
         passages that hardly bear on them, by the nearest heading.",
    );
    let named = |it: &Cluster| (name(it).to_owned(), it.questions);
    plot(
        &mut page,
        "Questions by nearest heading",
        report.gaps.iter().map(named).collect(),
    );
    let head = [
        "nearest heading",
        "questions",
        "refused",
        "unsupported",
        "low score",
        "asked often",
    ];
    let rows: Vec<_> = report.gaps.iter().map(gap).collect();
    page.table(&head, &rows);

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

/// A cluster's heading, in words.
pub(super) fn name(cluster: &Cluster) -> &str {
    cluster.heading.as_deref().unwrap_or("(nothing in the book is near)")
}

fn gap(cluster: &Cluster) -> Vec<Cell> {
    let often = |it: &Asked| format!("{} ({}×)", it.question, it.count);
    let mut cells = vec![Cell::Text(name(cluster).to_owned())];
    let Cluster { questions, refused, unsupported, low_score, examples, .. } = cluster;
    let counts = [questions, refused, unsupported, low_score];
    cells.extend(counts.map(|it| Cell::Number(it.to_string())));
    cells.push(Cell::Lines(examples.iter().map(often).collect()));
    cells
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
