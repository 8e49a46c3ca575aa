//! `lectern eval`: how well the book is found and answered from, measured with questions.
//!
//! `questions` reads them, `labels` knows what they should find, `measure` asks through
//! `search` and `answers`, `metrics` counts, `results`, `terminal` and `page` say what was
//! found.
#![expect(clippy::print_stdout, reason = "a command talks to its terminal")]

mod answers;
mod draft;
mod labels;
mod measure;
pub(crate) mod metrics;
mod page;
mod questions;
mod results;
mod search;
mod terminal;

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::ValueEnum;
use shared::{config::Env, retrieval::Mode};

use self::{measure::How, results::Results};
use crate::Outcome;

/// Measure how well the book's passages are found, and how well it is answered from.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The questions: a file of JSON lines, or a folder with queries.jsonl and qrels.jsonl.
    #[arg(required_unless_present = "init")]
    questions: Option<PathBuf>,
    /// Draft questions from the book's headings instead, to be edited.
    #[arg(long, conflicts_with_all = ["questions", "answers", "baseline", "min", "max", "run"])]
    init: bool,
    /// Where results.json and report.html go; with --init the file of the drafts
    /// [default: questions.jsonl].
    #[arg(long)]
    out: Option<PathBuf>,
    /// The ranking that counts.
    #[arg(long, value_enum, default_value = "hybrid")]
    mode: Ranking,
    /// How many passages are asked for.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=50))]
    top_k: u8,
    /// Leave out what the questions say of earlier turns.
    #[arg(long)]
    last_turn: bool,
    /// Also ask for whole answers, through the model if one is configured.
    #[arg(long)]
    answers: bool,
    /// Compare with the results.json of an earlier run.
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Fail if a number is below this: ndcg@10=0.60, lexical:recall@5=0.7 …
    #[arg(long, value_name = "NAME=NUMBER", num_args = 1..)]
    min: Vec<Bar>,
    /// Fail if a number is above this: `false_refusals=0.1` …
    #[arg(long, value_name = "NAME=NUMBER", num_args = 1..)]
    max: Vec<Bar>,
    /// Write the ranking, one line a question: {"qid", "docs": [[page, score] …]}.
    #[arg(long)]
    run: Option<PathBuf>,
    /// The shelf to ask, instead of `BOOK_SHELF`.
    #[arg(long)]
    shelf: Option<PathBuf>,
}

/// Which ranking counts.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ranking {
    /// Words and meaning, fused; the legs are measured beside it.
    Hybrid,
    /// Meaning alone.
    Dense,
    /// Words alone.
    Lexical,
}

/// A number that must be reached, or must not be passed.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    name: String,
    value: f64,
}

impl FromStr for Bar {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.rsplit_once('=').ok_or("write NAME=NUMBER")?;
        let value: f64 =
            value.parse().map_err(|_| format!("\"{value}\" is no number"))?;
        if value.is_nan() {
            return Err("NaN is no number".to_owned());
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// Runs the command.
pub async fn run(args: Args, env: Env) -> Outcome {
    let env = match &args.shelf {
        Some(shelf) => env.with("BOOK_SHELF", shelf.to_str().ok_or("--shelf: no UTF-8")?),
        None => env,
    };
    let Some(file) = args.questions.as_deref().filter(|_| !args.init) else {
        return init(&args, &env);
    };
    let mut questions = questions::read(file)?;
    if args.last_turn {
        questions.all.iter_mut().for_each(|it| it.history.clear());
    }
    // Asking may take minutes; a folder that cannot be made is said before.
    let run_folder = args.run.as_deref().and_then(Path::parent);
    for folder in args.out.as_deref().into_iter().chain(run_folder) {
        let name = folder.display();
        fs::create_dir_all(folder).map_err(|err| format!("{name}: {err}"))?;
    }
    let before = args.baseline.as_deref().map(Results::read).transpose()?;
    let mode = match args.mode {
        Ranking::Hybrid => Mode::Hybrid,
        Ranking::Dense => Mode::Dense,
        Ranking::Lexical => Mode::Lexical,
    };
    let numbers = args.min.iter().chain(&args.max).map(|it| it.name.as_str()).collect();
    let top_k = usize::from(args.top_k);
    let how = How { mode, top_k, answers: args.answers, numbers };
    let (results, run) = measure::measure(&questions, how, &env).await?;
    let compared = before.map(|before| results.compare(&before));
    print!("{}", terminal::summary(&results, &compared));
    if let Some(file) = &args.run {
        write(file, &run)?;
    }
    if let Some(folder) = &args.out {
        let name = folder.display();
        let json = serde_json::to_string_pretty(&results)? + "\n";
        write(&folder.join("results.json"), &json)?;
        write(&folder.join("report.html"), &page::html(&results, &compared))?;
        println!("\nresults.json and report.html are in {name}");
    }
    bars(&results, &args)
}

fn init(args: &Args, env: &Env) -> Outcome {
    let file = args.out.clone().unwrap_or_else(|| PathBuf::from(draft::FILE));
    let count = draft::write(env, &file)?;
    println!(
        "{count} drafts are in {}. They repeat the book's own words, which readers do not: \
         put each into a reader's words, remove its \"draft\", and add questions that the \
         book does not answer (\"answerable\": false).",
        file.display()
    );
    Ok(())
}

fn write(file: &Path, text: &str) -> Outcome {
    fs::write(file, text).map_err(|err| format!("{}: {err}", file.display()).into())
}

/// Whether every bar is cleared; the error names each that is not.
fn bars(results: &Results, args: &Args) -> Outcome {
    let mut failed = Vec::new();
    let mut check = |bar: &Bar, is_met: fn(f64, f64) -> bool, word: &str| {
        let Some(found) = results.number(&bar.name) else {
            let names = results.names().join(", ");
            return Err(format!("there is no \"{}\" here; there are {names}", bar.name));
        };
        if !is_met(found, bar.value) {
            failed.push(format!("{} is {found:.4}, {word} {}", bar.name, bar.value));
        }
        Ok(())
    };
    args.min.iter().try_for_each(|it| check(it, |found, bar| found >= bar, "below"))?;
    args.max.iter().try_for_each(|it| check(it, |found, bar| found <= bar, "above"))?;
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_a_name_and_a_number() {
        let bar: Bar = "lexical:ndcg@10=0.6".parse().unwrap();
        assert_eq!(bar, Bar { name: "lexical:ndcg@10".into(), value: 0.6 });
        for wrong in ["ndcg@10", "ndcg@10=", "ndcg@10=x", "a=NaN"] {
            assert!(wrong.parse::<Bar>().is_err(), "{wrong}");
        }
    }
}
