//! What made a book: which generator turns these files into pages that people read.

use std::{fs, path::Path};

use walkdir::WalkDir;

use super::front;

/// The kinds of books. A kind decides which files are pages, in which order, what of them
/// is shown, and where the pages and their headings are found on the web.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BookKind {
    /// A folder of Markdown and text files, each its own page.
    #[default]
    Plain,
    /// `book.toml`, and `SUMMARY.md` among the pages.
    #[value(name = "mdbook")]
    MdBook,
    /// `docusaurus.config.*`, or a folder of pages that are written for it.
    Docusaurus,
    /// A folder of HTML pages, one HTML page, or a sitemap beside its pages.
    Html,
    /// An EPUB file.
    Epub,
    /// A PDF file with text.
    Pdf,
}

/// Pages that are looked at for a front matter that only Docusaurus reads.
const LOOKED_AT: usize = 200;

impl BookKind {
    /// The kind of the book in `from`, which may be the folder that holds the generator's
    /// settings or the folder of pages under it.
    pub(super) fn of(from: &Path) -> Self {
        if from.is_file() {
            match ending(from).as_str() {
                "html" | "htm" | "xhtml" | "xml" => Self::Html,
                "epub" => Self::Epub,
                "pdf" => Self::Pdf,
                _ => Self::Plain,
            }
        } else if is_mdbook(from) {
            Self::MdBook
        } else if is_docusaurus(from) {
            Self::Docusaurus
        } else if holds_html_alone(from) {
            Self::Html
        } else {
            Self::Plain
        }
    }

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "a plain folder",
            Self::MdBook => "an mdBook",
            Self::Docusaurus => "a Docusaurus site",
            Self::Html => "a site of HTML pages",
            Self::Epub => "an EPUB",
            Self::Pdf => "a PDF",
        }
    }
}

fn ending(file: &Path) -> String {
    let ending = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    ending.to_ascii_lowercase()
}

/// Whether there are HTML pages here and none of Markdown.
fn holds_html_alone(from: &Path) -> bool {
    let is_book = |it: &walkdir::DirEntry| {
        it.depth() == 0 || !it.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(from).into_iter().filter_entry(is_book).flatten();
    let mut found = false;
    for entry in walk {
        match ending(entry.path()).as_str() {
            "md" | "markdown" | "mdown" | "mdx" => return false,
            "html" | "htm" => found = true,
            _ => {}
        }
    }
    found
}

/// Contents without settings must look like contents: a page may be called summary, too.
fn is_mdbook(from: &Path) -> bool {
    let lists_chapters = |name: &&str| {
        let text = beginning(&from.join(name));
        text.contains("](") && (text.contains(".md)") || text.contains("]()"))
    };
    from.join("book.toml").is_file()
        || ["SUMMARY.md", "src/SUMMARY.md"].iter().any(lists_chapters)
}

fn is_docusaurus(from: &Path) -> bool {
    if settings(from).is_some()
        || ["sidebars.js", "sidebars.ts"].iter().any(|it| from.join(it).is_file())
    {
        return true;
    }
    // The folder of pages itself: of a site, or as others have copied it out of one.
    let has_site = real(from).parent().is_some_and(|parent| settings(parent).is_some());
    has_site || has_its_pages(from)
}

/// A path that has parents, `.` too.
pub(super) fn real(path: &Path) -> std::path::PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The settings of the Docusaurus site in `folder`.
pub(super) fn settings(folder: &Path) -> Option<std::path::PathBuf> {
    ["js", "ts", "mjs", "cjs", "mts", "cts"]
        .iter()
        .map(|ending| folder.join(format!("docusaurus.config.{ending}")))
        .find(|file| file.is_file())
}

/// Whether something in the folder is written for Docusaurus and nobody else. Numbers before
/// names are not enough: every second folder has them.
fn has_its_pages(from: &Path) -> bool {
    let walk = WalkDir::new(from).follow_links(false).sort_by_file_name().into_iter();
    let is_book = |it: &walkdir::DirEntry| {
        let name = it.file_name().to_string_lossy();
        it.depth() == 0 || !name.starts_with('.') && name != "node_modules"
    };
    let mut looked_at = 0;
    for entry in walk.filter_entry(is_book).flatten() {
        let name = entry.file_name().to_string_lossy();
        let ending = name.rsplit_once('.').map_or("", |it| it.1);
        let is_category =
            matches!(&*name, "_category_.json" | "_category_.yml" | "_category_.yaml");
        if is_category || ending == "mdx" {
            return true;
        }
        if ending == "md" && looked_at < LOOKED_AT {
            looked_at += 1;
            let text = beginning(entry.path());
            let front = front::read(text.trim_start_matches('\u{feff}'));
            let ours = ["sidebar_position", "sidebar_label"];
            if ours.iter().any(|key| front.field(key).is_some()) {
                return true;
            }
        }
    }
    false
}

/// The first characters of a file, as far as they can be read.
fn beginning(file: &Path) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(file) {
        // What cannot be read is reported when the pages are.
        file.take(4096).read_to_end(&mut bytes).ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(files: &[(&str, &str)], at: &str) -> BookKind {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        BookKind::of(&root.path().join(at))
    }

    #[test]
    fn generators_are_told_by_their_settings() {
        let book = [("book.toml", ""), ("src/SUMMARY.md", "- [A](a.md)")];
        assert_eq!(kind(&book, ""), BookKind::MdBook);
        assert_eq!(kind(&book, "src"), BookKind::MdBook);
        let site = [("docusaurus.config.ts", ""), ("docs/a.md", "text")];
        assert_eq!(kind(&site, ""), BookKind::Docusaurus);
        assert_eq!(kind(&site, "docs"), BookKind::Docusaurus);
    }

    #[test]
    fn a_folder_of_pages_is_told_by_what_only_one_generator_reads() {
        let page = "\u{feff}---\nsidebar_position: 1\n---\nText";
        assert_eq!(kind(&[("a/01-b.md", page)], ""), BookKind::Docusaurus);
        assert_eq!(kind(&[("a/b.mdx", "")], ""), BookKind::Docusaurus);
        assert_eq!(
            kind(&[("a/_category_.json", "{}"), ("b.md", "")], ""),
            BookKind::Docusaurus
        );
        assert_eq!(kind(&[("SUMMARY.md", "A page [a](b).")], ""), BookKind::Plain);
        let plain = [("0001-a.md", "---\nid: x\ntitle: A\n---\n"), ("notes.txt", "")];
        assert_eq!(kind(&plain, ""), BookKind::Plain);
    }
}
