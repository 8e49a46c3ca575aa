//! Reads a book into memory: which files are its pages, and what their readers see of them.
//!
//! A page's *source text* is its file decoded as UTF-8 without a byte order mark; in a plain
//! folder everything else stays as it is, carriage returns included. For a generator's book
//! it is what the generator shows: includes resolved, hidden lines and tags left out. All
//! offsets count code points of that text.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use super::{anchors::Slugs, docusaurus, epub, html, kind::BookKind, mdbook, pdf};
use crate::Outcome;

/// Pages of this size or more are refused: no book has them, and a model export often does.
pub(super) const TOO_LARGE: u64 = 50_000_000;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Markdown, with headings and anchors.
    Markdown,
    /// Paragraphs of plain text.
    Plain,
}

/// One page of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its path relative to the book's folder, with forward slashes: `ch04/moves.md`.
    pub path: String,
    /// Its source text; see the top of this file.
    pub source: String,
    /// How it is written.
    pub format: Format,
    /// Its address relative to `BOOK_BASE_URL`, as people write it: `ch04/moves.html`.
    pub address: String,
    /// The chapters above it, outermost first.
    pub parents: Vec<String>,
    /// What the book's contents call it; its heading or front matter when absent.
    pub title: Option<String>,
    /// How its headings get their anchors.
    pub slugs: Slugs,
}

impl Page {
    /// A page that is found under its own path, with anchors by GitHub's rule.
    pub(super) fn new(path: String, source: String, format: Format) -> Self {
        Self {
            address: path.clone(),
            path,
            source,
            format,
            parents: Vec::new(),
            title: None,
            slugs: Slugs::GitHub,
        }
    }
}

impl Page {
    /// A page whose headings have the ids that its own format gives them, and no others.
    pub(super) fn written(path: String, source: String) -> Self {
        Self { slugs: Slugs::Written, ..Self::new(path, source, Format::Markdown) }
    }
}

/// A book as it was read.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// What generates it.
    pub kind: BookKind,
    /// Its pages in their order.
    pub pages: Vec<Page>,
    /// What is wrong with it and can be lived with, with file and line.
    pub warnings: Vec<String>,
    /// What its pages include and cannot be included, with file and line.
    pub missing: Vec<String>,
    /// How many of what were left out: `drafts`, `stubs`.
    pub left_out: BTreeMap<&'static str, usize>,
}

impl Book {
    /// Counts one thing that was left out.
    pub(super) fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }
}

/// Reads the book in `from`, of the given kind or of the one that it looks like. `base_url`
/// is `BOOK_BASE_URL`, or empty. Fails on a book without pages and on the first page that
/// cannot be read, with its name.
pub(super) fn book(from: &Path, kind: Option<BookKind>, base_url: &str) -> Outcome<Book> {
    fs::metadata(from).map_err(|err| failed(from, &err))?;
    let kind = kind.unwrap_or_else(|| BookKind::of(from));
    let book = match kind {
        BookKind::Plain => Book { pages: folder(from)?, ..Book::default() },
        BookKind::MdBook => mdbook::read(from)?,
        BookKind::Docusaurus => docusaurus::read(from, path_of(base_url))?,
        BookKind::Html => site(from, base_url)?,
        BookKind::Epub => epub::book(from)?,
        BookKind::Pdf => {
            let pdf = pdf::book(from, &file_name(from)?)?;
            Book { pages: vec![pdf.page], warnings: pdf.warnings, ..Book::default() }
        }
    };
    Ok(Book { kind, ..book })
}

/// The path of `BOOK_BASE_URL`, which some generators' routes repeat.
fn path_of(base_url: &str) -> &str {
    let rest = base_url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

/// Pages of HTML: a folder, one file, or those that a sitemap lists.
fn site(from: &Path, base_url: &str) -> Outcome<Book> {
    let is_sitemap = from.extension().is_some_and(|it| it.eq_ignore_ascii_case("xml"));
    if from.is_file() && !is_sitemap {
        let about = fs::metadata(from).map_err(|err| failed(from, &err))?;
        let page = html::page(&text(from, &about)?);
        let page = Page::written(file_name(from)?, page.source());
        return Ok(Book { pages: vec![page], ..Book::default() });
    }
    let site = if is_sitemap {
        html::site::sitemap(from, base_url)?
    } else {
        html::site::folder(from)?
    };
    let page = |it: html::site::SitePage| Page {
        address: it.link,
        ..Page::written(it.path, it.html.source())
    };
    let pages = site.pages.into_iter().map(page).collect();
    Ok(Book { pages, warnings: site.warnings, ..Book::default() })
}

/// The pages under `from`, sorted by path. Folders whose names start with a dot,
/// `node_modules` and tagged cache folders (Cargo's `target`) are left out.
fn folder(from: &Path) -> Outcome<Vec<Page>> {
    let about = fs::metadata(from).map_err(|err| failed(from, &err))?;
    if about.is_file() {
        let format = format_of(from).ok_or_else(|| {
            format!("{}: not a page; {KINDS} files are read", from.display())
        })?;
        return Ok(vec![Page::new(file_name(from)?, text(from, &about)?, format)]);
    }
    let found = walk(from, format_of)?;
    if found.is_empty() {
        return Err(format!("{}: no {KINDS} file here", from.display()).into());
    }
    let page = |(path, file, about, format): (String, PathBuf, Metadata, Format)| {
        Ok(Page::new(path, text(&file, &about)?, format))
    };
    found.into_iter().map(page).collect()
}

/// The files under `from` that `wanted` knows, with their paths relative to it, sorted.
pub(super) fn walk<T>(
    from: &Path,
    wanted: impl Fn(&Path) -> Option<T>,
) -> Outcome<Vec<(String, PathBuf, Metadata, T)>> {
    let mut found = Vec::new();
    let walk = WalkDir::new(from).follow_links(true).into_iter();
    for entry in walk.filter_entry(is_of_the_book) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(err) => match concerns_the_book(&err, |it| wanted(it).is_some()) {
                Some(words) => return Err(words.into()),
                None => continue,
            },
        };
        let Some(what) = wanted(entry.path()) else { continue };
        let about = entry.metadata()?;
        if entry.depth() > 0 && about.is_file() {
            let path = relative(from, entry.path())?;
            found.push((path, entry.into_path(), about, what));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// The files that are pages, for messages.
const KINDS: &str = ".md, .markdown, .mdown or .txt";

fn format_of(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "md" | "markdown" | "mdown" => Some(Format::Markdown),
        "txt" => Some(Format::Plain),
        _ => None,
    }
}

/// The folder that was asked for is read whatever it is called.
fn is_of_the_book(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let is_left_out = name.starts_with('.')
        || entry.file_type().is_dir()
            && (name == "node_modules" || entry.path().join("CACHEDIR.TAG").exists());
    entry.depth() == 0 || !is_left_out
}

/// A dangling link to a picture is no concern of ours; a loop, a locked folder or a page that
/// has gone is.
fn concerns_the_book(
    err: &walkdir::Error,
    is_page: impl Fn(&Path) -> bool,
) -> Option<String> {
    let path = err.path().unwrap_or(Path::new("")).display();
    if let Some(ancestor) = err.loop_ancestor() {
        return Some(format!("{path}: this link leads back to {}", ancestor.display()));
    }
    let is_dangling = err.path().is_some_and(|path| {
        path.symlink_metadata().is_ok_and(|it| it.is_symlink()) && !is_page(path)
    });
    (!is_dangling).then(|| match err.io_error() {
        Some(cause) => format!("{path}: {cause}"),
        None => err.to_string(),
    })
}

/// The text of a file, whose size is looked at first.
pub(super) fn text(file: &Path, about: &Metadata) -> Outcome<String> {
    if about.len() >= TOO_LARGE {
        let limit = TOO_LARGE / 1_000_000;
        return Err(format!("{}: a page must be under {limit} MB", file.display()).into());
    }
    let bytes = fs::read(file).map_err(|err| failed(file, &err))?;
    let mut source = String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        format!("{}: not UTF-8 text (byte {at}); save it as UTF-8", file.display())
    })?;
    if source.contains('\0') {
        return Err(format!("{}: not text, it has zero bytes", file.display()).into());
    }
    if source.starts_with('\u{feff}') {
        source.drain(..'\u{feff}'.len_utf8());
    }
    Ok(source)
}

/// `file` seen from `root`, with forward slashes.
pub(super) fn relative(root: &Path, file: &Path) -> Outcome<String> {
    let parts: Option<Vec<_>> =
        file.strip_prefix(root)?.iter().map(|part| part.to_str()).collect();
    parts.map(|it| it.join("/")).ok_or_else(|| not_unicode(file))
}

fn file_name(file: &Path) -> Outcome<String> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| not_unicode(file))
}

fn not_unicode(file: &Path) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{}: the name is not UTF-8", PathBuf::from(file).display()).into()
}

/// What went wrong with which file.
pub(super) fn failed(file: &Path, err: &std::io::Error) -> String {
    format!("{}: {err}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(root: &Path) -> Outcome<Vec<Page>> {
        Ok(book(root, None, "")?.pages)
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        root
    }

    fn paths(root: &Path) -> Vec<String> {
        folder_of(root).unwrap().into_iter().map(|page| page.path).collect()
    }

    #[test]
    fn pages_are_sorted_and_machinery_is_left_out() {
        let root = folder(&[
            ("b/z.txt", b"z"),
            ("b.md", b"b"),
            ("A.MD", b"a"),
            (".git/x.md", b"x"),
            ("node_modules/x.md", b"x"),
            ("target/CACHEDIR.TAG", b""),
            ("target/x.md", b"x"),
            ("on/target/aim.mdown", b"a chapter may be called so"),
            ("picture.png", b"\xff\xfe"),
        ]);
        assert_eq!(
            paths(root.path()),
            ["A.MD", "b.md", "b/z.txt", "on/target/aim.mdown"]
        );
    }

    #[test]
    fn the_byte_order_mark_goes_and_carriage_returns_stay() {
        let root = folder(&[("a.md", b"\xef\xbb\xbf# A\r\n\r\nb\r\n")]);
        assert_eq!(folder_of(root.path()).unwrap()[0].source, "# A\r\n\r\nb\r\n");
    }

    #[test]
    fn a_single_file_is_a_book_of_one_page() {
        let root = folder(&[("deep/a.md", b"a"), ("deep/a.png", b"a")]);
        assert_eq!(paths(&root.path().join("deep/a.md")), ["a.md"]);
        assert!(folder_of(&root.path().join("deep/a.png")).is_err());
        assert!(folder_of(&root.path().join("deep/none.md")).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (bytes, word) in [(&b"caf\xe9"[..], "UTF-8"), (b"a\0b", "zero bytes")] {
            let root = folder(&[("good.md", b"a"), ("bad.md", bytes)]);
            let err = folder_of(root.path()).unwrap_err().to_string();
            assert!(err.contains("bad.md") && err.contains(word), "{err}");
        }
        let err = folder_of(folder(&[("a.png", b"a")]).path()).unwrap_err().to_string();
        assert!(err.contains("no .md"), "{err}");
    }

    #[test]
    fn a_page_of_fifty_megabytes_is_refused_without_being_read() {
        let root = folder(&[("huge.md", b"a")]);
        let file = fs::File::create(root.path().join("huge.md")).unwrap();
        file.set_len(TOO_LARGE).unwrap();
        let err = folder_of(root.path()).unwrap_err().to_string();
        assert!(err.contains("huge.md") && err.contains("50 MB"), "{err}");
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_is_an_error_and_a_dangling_picture_is_not() {
        use std::os::unix::fs::symlink;
        let root = folder(&[("a.md", b"a")]);
        symlink("nowhere.png", root.path().join("b.png")).unwrap();
        assert_eq!(paths(root.path()), ["a.md"]);
        symlink("nowhere.md", root.path().join("c.md")).unwrap();
        assert!(folder_of(root.path()).unwrap_err().to_string().contains("c.md"));
        fs::remove_file(root.path().join("c.md")).unwrap();
        symlink(".", root.path().join("again")).unwrap();
        assert!(folder_of(root.path()).unwrap_err().to_string().contains("leads back"));
    }
}
