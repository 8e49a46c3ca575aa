//! `lectern ingest`: makes the index of a book from its pages.
//!
//! `read` finds the pages, `markdown` and `sections` see their structure, `split` cuts them
//! into passages, `plan` names the passages and the version, `build` embeds and writes.
#![expect(clippy::print_stdout, reason = "what a command has to say goes to its user")]

mod anchors;
mod build;
pub mod collection;
mod cut;
mod front;
mod language;
mod markdown;
mod plan;
mod position;
#[cfg(test)]
mod properties;
mod read;
mod sections;
mod split;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use shared::config::Env;

pub use self::{
    anchors::Anchors,
    build::{Job, Summary, Target, build},
    front::read as front_matter,
    markdown::DIALECT,
    plan::PageChange,
};
use crate::Outcome;

/// The label of pages for which nobody gave one.
pub const SOURCE: &str = "book";

/// The shelf when neither `--shelf` nor `BOOK_SHELF` names one.
pub const SHELF: &str = "book.shelf";

/// Make the index of a book from a folder of Markdown and text files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of pages, or one page (.md, .markdown, .mdown, .txt).
    from: PathBuf,
    /// Where the index goes; Qdrant gets the shelf beside it, too [default: qdrant if
    /// `QDRANT_URL` is set, else shelf].
    #[arg(long, value_enum)]
    to: Option<Target>,
    /// The file to write [default: `BOOK_SHELF`, else book.shelf].
    #[arg(long)]
    shelf: Option<PathBuf>,
    /// A label for these pages. Pages with another label stay in the index.
    #[arg(long, default_value = SOURCE)]
    source: String,
    /// The book's language (en, eng, de, zh …) instead of the detected one.
    #[arg(long)]
    language: Option<String>,
    /// Say what would change, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command and says what it did.
pub async fn run(args: Args, env: Env) -> Outcome {
    let shelf = args.shelf.or_else(|| env.get("BOOK_SHELF").map(PathBuf::from));
    let has_qdrant = env.get("QDRANT_URL").is_some();
    let job = Job {
        from: args.from,
        shelf: shelf.unwrap_or_else(|| PathBuf::from(SHELF)),
        to: args.to.unwrap_or(if has_qdrant { Target::Qdrant } else { Target::Shelf }),
        source: label(&args.source)?,
        language: args.language.as_deref().map(language::named).transpose()?,
        dry_run: args.dry_run,
    };
    if job.to == Target::Qdrant {
        env.need("QDRANT_URL")?;
    }
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(
        "embedding {wide_bar} {pos}/{len} {eta}",
    )?);
    let summary = build(&job, &env, &bar).await?;
    print!("{}", report(&job, &summary));
    Ok(())
}

/// A label is one short line, because it is part of the ids.
fn label(source: &str) -> Outcome<String> {
    let source = source.trim();
    let is_good =
        (1..=100).contains(&source.chars().count()) && !source.contains(char::is_control);
    if is_good {
        Ok(source.to_owned())
    } else {
        Err("--source: 1 to 100 characters".into())
    }
}

/// What was done, or would be, in a few lines.
fn report(job: &Job, summary: &Summary) -> String {
    let Summary { pages, passages, embedded, reused, changes, version, .. } = summary;
    let mut lines = Vec::new();
    if job.dry_run {
        for PageChange { path, added, removed, kept } in changes {
            lines.push(match (removed + kept, added + kept) {
                (0, _) => format!("+ {path} ({added} passages)"),
                (_, 0) => format!("- {path} ({removed} passages)"),
                _ => format!("~ {path} ({added} new, {removed} gone, {kept} kept)"),
            });
        }
    }
    let sum = |of: fn(&PageChange) -> usize| changes.iter().map(of).sum::<usize>();
    let (added, removed) = (sum(|it| it.added), sum(|it| it.removed));
    let counted = format!("{pages} pages, {passages} passages in {}", summary.language);
    let embeddings = match &summary.model {
        Some(model) => format!("{embedded} to embed with {model}, {reused} reused"),
        None => "no embeddings".to_owned(),
    };
    let places = match job.to {
        Target::Shelf => job.shelf.display().to_string(),
        Target::Qdrant => format!("{} and Qdrant", job.shelf.display()),
    };
    lines.push(match (job.dry_run, summary.is_up_to_date) {
        (_, true) => format!("up to date: {counted}, version {version} in {places}"),
        (true, false) => format!(
            "dry run: {counted}; {added} new, {removed} gone; {embeddings}; \
             version {version} would go to {places}"
        ),
        (false, false) => format!(
            "{counted}; {added} new, {removed} gone; {}; version {version} is in {places}",
            embeddings.replace(" to embed with", " embedded with")
        ),
    });
    lines.push(String::new());
    lines.join("\n")
}
