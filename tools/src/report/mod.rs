//! `lectern report`: what readers ask, what the book does not answer, and what it costs.
//!
//! `log` reads the rows, `gaps` finds the heading that each unanswered question is nearest
//! to, `headings` groups, `tally` counts, `page` draws. No model is needed.
#![expect(clippy::print_stdout, reason = "a command talks to its terminal")]

mod gaps;
mod headings;
mod log;
mod page;
mod tally;

use std::{fmt::Write, fs, path::PathBuf, str::FromStr};

use shared::{config::Env, db::Pool};

use self::{
    gaps::Limits,
    tally::{Counts, Prices, Report, Shown},
};
use crate::Outcome;

/// What readers ask and what the book does not answer, from the log.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How far to look back: 12h, 30d, 8w.
    #[arg(long, default_value = "30d")]
    since: Since,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write a page with plots.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Lines of each list.
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    /// Show the words of a question only if it was asked at least so often.
    #[arg(long, default_value_t = 3, value_name = "N")]
    min_count: usize,
    /// An answer is a gap if its best source scored below this. The default, 1/65, is
    /// the score of a passage that one leg alone had, as its fifth.
    #[arg(long, default_value_t = 1.0 / 65.0, hide_default_value = true)]
    low_score: f64,
    /// An answer is a gap if less than this share of the question's words is in the five
    /// nearest passages.
    #[arg(long, default_value_t = 0.5)]
    low_coverage: f64,
    /// The price of a million tokens of prompts, in any currency.
    #[arg(long, requires = "output_price")]
    input_price: Option<f64>,
    /// The price of a million tokens of answers.
    #[arg(long, requires = "input_price")]
    output_price: Option<f64>,
    /// The shelf to look up headings in, instead of `BOOK_SHELF`.
    #[arg(long)]
    shelf: Option<PathBuf>,
}

/// A stretch of time that ends now.
#[derive(Clone, Debug, PartialEq)]
struct Since {
    words: String,
    seconds: f64,
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number with h, d or w: 12h, 30d, 8w".to_owned();
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let hours: u32 = match unit {
            'h' => 1,
            'd' => 24,
            'w' => 7 * 24,
            _ => return Err(wrong()),
        };
        let count: u16 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let seconds = f64::from(u32::from(count) * hours) * 3600.0;
        Ok(Self { words: text.to_owned(), seconds })
    }
}

/// Runs the command.
pub async fn run(args: Args, env: Env) -> Outcome {
    let env = match &args.shelf {
        Some(shelf) => env.with("BOOK_SHELF", shelf.to_str().ok_or("--shelf: no UTF-8")?),
        None => env,
    };
    let db = Pool::from_env(&env)?;
    let rows = log::read(&db, args.since.seconds).await?;
    let limits = Limits { score: args.low_score, coverage: args.low_coverage };
    let (gaps, notes) = gaps::find(&rows, limits, &env).await;
    let prices = args.input_price.zip(args.output_price);
    let prices = prices.map(|(input, output)| Prices { input, output });
    let shown = Shown { min_count: args.min_count.max(1), top: args.top };
    let mut report = tally::count(&rows, &gaps, prices, shown);
    report.since = args.since.words;
    report.notes = notes;
    if let Some(file) = &args.html {
        let name = file.display();
        fs::write(file, page::html(&report)).map_err(|err| format!("{name}: {err}"))?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report, args.top));
    }
    Ok(())
}

/// When it was, in a sentence.
fn head(report: &Report) -> String {
    match &report.days {
        Some((first, last)) => {
            format!("The last {}: from {first} to {last} (UTC).", report.since)
        }
        None => format!("Nobody asked anything in the last {}.", report.since),
    }
}

/// The numbers that an owner looks for first.
fn numbers(report: &Report) -> Vec<(&'static str, String)> {
    let totals = &report.totals;
    let mut numbers: Vec<(&str, String)> = [
        ("questions", totals.questions),
        ("readers", totals.readers),
        ("questions of guests", totals.by_guests),
        ("conversations", totals.conversations),
        ("answers by a model", totals.by_model),
        ("quoted without a model", totals.extractive),
        ("refused", totals.refused),
        ("unsupported", totals.unsupported),
        ("disliked", totals.disliked),
        ("unresolved", totals.unresolved),
        ("low score", totals.low_score),
        ("failed", totals.failed),
    ]
    .map(|(name, count)| (name, count.to_string()))
    .into();
    let latency = &report.latency;
    for (name, ms) in [
        ("first token, p50", latency.first_token_ms_p50),
        ("first token, p95", latency.first_token_ms_p95),
        ("whole answer, p50", latency.answer_ms_p50),
        ("whole answer, p95", latency.answer_ms_p95),
    ] {
        numbers.extend(ms.map(|ms| (name, format!("{ms} ms"))));
    }
    let tokens = &report.tokens;
    numbers.push(("tokens in", tokens.input.to_string()));
    numbers.push(("tokens out", tokens.output.to_string()));
    if tokens.estimated_answers > 0 {
        numbers.push((
            "answers with estimated tokens",
            tokens.estimated_answers.to_string(),
        ));
    }
    numbers.extend(report.cost.map(|it| ("cost", format!("{it:.2}"))));
    numbers
}

/// The counts that need no words.
fn tables(report: &Report) -> [(&'static str, &Counts); 5] {
    [
        ("Refusals by reason", &report.refusals),
        ("Feedback", &report.feedback),
        ("Degraded answers", &report.degraded),
        ("Errors", &report.errors),
        ("Answers by model", &report.models),
    ]
}

/// What is not shown, and why.
fn seldom(report: &Report) -> String {
    format!(
        "{} other questions were asked too seldom to be shown: words that one reader alone \
         wrote may say who that was.",
        report.asked_seldom
    )
}

/// What the terminal shows.
fn text(report: &Report, top: usize) -> String {
    let mut out = format!("{}\n\n", head(report));
    for (name, value) in numbers(report) {
        writeln!(out, "{name:<32}{value:>10}").ok();
    }
    if !report.gaps.is_empty() {
        out.push_str("\nGaps in the book, by nearest heading\n");
        for it in report.gaps.iter().take(top) {
            writeln!(
                out,
                "{:>6}  {}  (unresolved {}: refused {}, unsupported {}, disliked {}; low score {})",
                it.questions,
                page::name(it.heading.as_deref()),
                it.unresolved,
                it.refused,
                it.unsupported,
                it.disliked,
                it.low_score
            )
            .ok();
            for asked in it.examples.iter().take(3) {
                writeln!(out, "          {}× {}", asked.count, asked.question).ok();
            }
        }
    }
    if !report.opinions.is_empty() {
        out.push_str("\nFeedback, by nearest heading\n");
        for it in report.opinions.iter().take(top) {
            let (bad, good) = (it.negative, it.positive);
            let name = page::name(it.heading.as_deref());
            writeln!(out, "{bad:>6} negative, {good} positive  {name}").ok();
            for said in it.reasons.iter().take(top) {
                writeln!(out, "          {}: {}", said.kind, said.words).ok();
            }
        }
    }
    if report.totals.questions > 0 {
        out.push_str("\nAsked most\n");
        for it in &report.asked {
            writeln!(out, "{:>6}  {}", it.count, it.question).ok();
        }
        writeln!(out, "{}", seldom(report)).ok();
    }
    for (heading, counts) in tables(report) {
        if counts.is_empty() {
            continue;
        }
        writeln!(out, "\n{heading}").ok();
        for (name, count) in counts {
            writeln!(out, "{count:>6}  {name}").ok();
        }
    }
    for note in &report.notes {
        writeln!(out, "\nnote: {note}").ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Since;

    #[test]
    fn a_stretch_of_time_is_a_number_with_a_unit() {
        let seconds = |text: &str| text.parse::<Since>().map(|it| it.seconds);
        assert_eq!(seconds("12h"), Ok(43_200.0));
        assert_eq!(seconds("30d"), Ok(2_592_000.0));
        assert_eq!(seconds("2w"), Ok(1_209_600.0));
        for wrong in ["", "d", "30", "-1d", "1.5d", "99999999w", "3日", "1é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
