//! What `lectern eval` says on the terminal.

use super::{
    metrics::NAMES,
    page::{self, Compared},
    results::Results,
};

/// So many labels that the book does not have are named; `results.json` has them all.
const NOTES: usize = 20;

/// What the terminal shows.
pub(super) fn summary(results: &Results, compared: &Compared) -> String {
    let mut lines = vec![format!(
        "{} questions, {} with something relevant, {} passages each",
        results.questions, results.judged, results.top_k
    )];
    if results.drafts > 0 {
        lines.push(format!(
            "{} of them are drafts that nobody has edited",
            results.drafts
        ));
    }
    if results.judged > 0 {
        let heads = NAMES.map(|it| format!("{it:>11}")).concat();
        lines.push(format!("\n{:<18}{heads}", "ranking"));
        for (ranking, levels) in &results.metrics {
            for (level, means) in levels {
                let value = |name: &str| means.get(name).copied().unwrap_or_default();
                let values = NAMES.map(|it| format!("{:>11.4}", value(it))).concat();
                lines.push(format!("{:<18}{values}", format!("{ranking} {level}s")));
            }
        }
    }
    if let Some(auroc) = results.answerability_auroc {
        lines.push(format!("\n{:<28}{auroc:.4}", "answerability_auroc"));
    }
    if let Some(answers) = &results.answers {
        lines.push(format!("\nanswers by {}: {} asked", answers.model, answers.asked));
        for (name, share) in &answers.shares {
            lines.push(format!("{name:<28}{share:.4}"));
        }
        lines.push(format!("{:<28}{}", "failed", answers.failed));
        for (service, count) in &answers.degraded {
            lines.push(format!("{:<28}{count}", format!("degraded: {service}")));
        }
        let (input, output) = (answers.input_tokens, answers.output_tokens);
        lines.push(format!("{:<28}{input} in, {output} out", "tokens"));
    }
    lines.push(String::new());
    lines.extend(results.took.iter().map(|(name, ms)| format!("{name:<28}{ms}")));
    if let Some((questions, differences)) = compared {
        lines.push(format!("\nagainst the baseline, over {questions} questions"));
        for (name, it) in differences {
            let (mean, (low, high)) = (it.mean, it.interval);
            let verdict = page::verdict(it);
            lines.push(format!(
                "{name:<12}{mean:+.4}  [{low:+.4}, {high:+.4}]  {verdict}"
            ));
        }
    }
    lines.extend(results.missing.iter().take(NOTES).map(|it| format!("note: {it}")));
    if let more @ 1.. = results.missing.len().saturating_sub(NOTES) {
        lines.push(format!("note: and {more} more"));
    }
    lines.push(String::new());
    lines.join("\n")
}
