//! `lectern ingest`: makes the index of a book from its pages.
//!
//! `kind` tells what made the book, `read` (with `mdbook` and `docusaurus`) finds its pages and
//! what their readers see, `markdown` and `sections` see their structure, `split` cuts them
//! into passages, `plan` names the passages and the version, `build` embeds (`vectors`) and
//! writes (`replace`, `collection`).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command has to say goes to its user"
)]

mod anchors;
mod build;
pub mod collection;
mod cut;
mod docusaurus;
mod epub;
mod front;
mod html;
mod kind;
mod language;
mod markdown;
mod mdbook;
mod pdf;
mod plan;
mod position;
#[cfg(test)]
mod properties;
mod read;
mod replace;
mod said;
mod sections;
mod served;
mod split;
mod vectors;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use shared::config::Env;

pub use self::{
    anchors::Anchors,
    build::{Job, Summary, Target, build},
    front::read as front_matter,
    kind::BookKind,
    markdown::DIALECT,
    plan::PageChange,
};
use crate::Outcome;

/// So many warnings are printed.
const WARNINGS: usize = 50;

/// The label of pages for which nobody gave one.
pub const SOURCE: &str = "book";

/// The shelf when neither `--shelf` nor `BOOK_SHELF` names one.
pub const SHELF: &str = "book.shelf";

/// Make the index of a book: an mdBook, a Docusaurus site, a folder of Markdown and text.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the book, or one file: a page (.md, .txt, .html), a sitemap (.xml), an
    /// EPUB or a PDF.
    from: PathBuf,
    /// What made the book [default: told by its files].
    #[arg(long, value_enum)]
    kind: Option<BookKind>,
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
    /// Go on without includes and partials that are missing or lie outside the book.
    #[arg(long)]
    allow_missing_includes: bool,
    /// Go on when more than 30 % of the passages would be deleted, or when the same model
    /// makes vectors of another length and all of the book has to be embedded again.
    #[arg(long)]
    force: bool,
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
        kind: args.kind,
        allow_missing_includes: args.allow_missing_includes,
        force: args.force,
    };
    if job.to == Target::Qdrant {
        env.need("QDRANT_URL")?;
    }
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(
        "embedding {wide_bar} {pos}/{len} {eta}",
    )?);
    let summary = build(&job, &env, &bar).await?;
    for warning in summary.warnings.iter().take(WARNINGS) {
        eprintln!("warning: {warning}");
    }
    if let more @ 1.. = summary.warnings.len().saturating_sub(WARNINGS) {
        eprintln!("warning: and {more} more");
    }
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
    if !summary.left_out.is_empty() {
        let each = summary.left_out.iter().map(|(what, count)| format!("{count} {what}"));
        lines.push(format!("left out: {}", each.collect::<Vec<_>>().join(", ")));
    }
    let sum = |of: fn(&PageChange) -> usize| changes.iter().map(of).sum::<usize>();
    let (added, removed) = (sum(|it| it.added), sum(|it| it.removed));
    let of = match summary.kind {
        BookKind::Plain => String::new(),
        kind => format!(" of {}", kind.name()),
    };
    let counted =
        format!("{pages} pages{of}, {passages} passages in {}", summary.language);
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
    if let Some(why) = summary.needs_force.as_ref().filter(|_| job.dry_run && !job.force)
    {
        lines.push(format!("{why}, which needs --force"));
    }
    lines.push(String::new());
    lines.join("\n")
}
