//! Books of mdBook: chapters and their order from `SUMMARY.md`, includes resolved, and of
//! each page what the generator shows.

mod include;
mod shown;
mod summary;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use self::include::Includes;
use super::{
    anchors::Slugs,
    kind::real,
    markdown,
    read::{self, Book, Format, Page},
};
use crate::Outcome;

/// Where the book lies.
struct Place {
    /// Nothing outside it is included.
    root: PathBuf,
    /// The folder of pages.
    pages: PathBuf,
    /// Lines of other languages than Rust that start so are hidden: `[output.html.code.hidelines]`.
    hidelines: shown::Prefixes,
}

/// The pages of the book, in the order of its contents. Chapters that are missing are
/// warnings.
pub(super) fn read(from: &Path) -> Outcome<Book> {
    let place = place(&real(from))?;
    let contents = place.pages.join("SUMMARY.md");
    let about = fs::metadata(&contents).map_err(|err| read::failed(&contents, &err))?;
    let summary = summary::read(&read::text(&contents, &about)?);

    let mut book = Book::default();
    let mut includes = Includes::new(&place.root);
    let mut listed = HashSet::new();
    for chapter in summary {
        let Some(path) = chapter.path else {
            book.leave_out("draft chapters");
            continue;
        };
        let file = place.pages.join(&path);
        let Ok(about) = fs::metadata(&file) else {
            let line = chapter.line;
            book.warnings.push(format!("SUMMARY.md:{line}: there is no {path}"));
            continue;
        };
        if !real(&file).starts_with(&place.root) {
            let line = chapter.line;
            book.warnings.push(format!("SUMMARY.md:{line}: {path} is not in the book"));
            continue;
        }
        if !listed.insert(real(&file)) {
            continue;
        }
        let source = read::text(&file, &about)?;
        let source = includes.resolved(&file, &source)?;
        let source =
            markdown::without_definitions(&shown::text(&source, &place.hidelines));
        book.pages.push(Page {
            address: address(&path),
            parents: chapter.parents,
            title: Some(chapter.title),
            slugs: Slugs::MdBook,
            ..Page::new(path, source, Format::Markdown)
        });
    }
    book.missing.append(&mut includes.missing);
    let is_page = |file: &Path| {
        let is_markdown = file.extension().is_some_and(|it| it == "md");
        (is_markdown && file.file_name().is_some_and(|it| it != "SUMMARY.md"))
            .then_some(())
    };
    for (_, file, ..) in read::walk(&place.pages, is_page)? {
        if !listed.contains(&real(&file)) && !includes.seen.contains(&real(&file)) {
            book.leave_out("files that SUMMARY.md does not list");
        }
    }
    if book.pages.is_empty() {
        return Err(
            format!("{}: it lists no chapter that is there", contents.display()).into()
        );
    }
    Ok(book)
}

/// `from` is the folder of `book.toml`, or the folder of pages.
fn place(from: &Path) -> Outcome<Place> {
    let has_settings = |folder: &Path| folder.join("book.toml").is_file();
    let is_pages = from.join("SUMMARY.md").is_file() && !has_settings(from);
    let above = from.parent().filter(|it| is_pages && has_settings(it));
    let root = above.unwrap_or(from);
    let mut place = Place {
        root: root.to_owned(),
        pages: root.join("src"),
        hidelines: shown::Prefixes::default(),
    };
    let file = root.join("book.toml");
    if let Ok(about) = fs::metadata(&file) {
        let settings: toml::Table = toml::from_str(&read::text(&file, &about)?)
            .map_err(|err| format!("{}: {}", file.display(), err.message()))?;
        let folder = settings.get("book").and_then(|it| it.get("src"));
        place.pages = root.join(folder.and_then(toml::Value::as_str).unwrap_or("src"));
        let code = settings.get("output").and_then(|it| it.get("html")?.get("code"));
        let prefixes = code.and_then(|it| it.get("hidelines")?.as_table());
        for (language, prefix) in prefixes.into_iter().flatten() {
            if let Some(prefix) = prefix.as_str() {
                place.hidelines.insert(language.clone(), prefix.to_owned());
            }
        }
    }
    // The folder that was named is right, whatever the settings above it say.
    if is_pages {
        from.clone_into(&mut place.pages);
    }
    Ok(place)
}

/// Where mdBook puts a chapter: `README.md` becomes the folder's `index.html`.
fn address(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(a, b)| (a, b));
    let stem = name.rsplit_once('.').map_or(name, |it| it.0);
    let stem = if stem.eq_ignore_ascii_case("readme") { "index" } else { stem };
    if folder.is_empty() {
        format!("{stem}.html")
    } else {
        format!("{folder}/{stem}.html")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_become_pages_of_html() {
        assert_eq!(address("ch 1/moves.md"), "ch 1/moves.html");
        assert_eq!(address("README.md"), "index.html");
        assert_eq!(address("a.b/Readme.md"), "a.b/index.html");
        assert_eq!(address("v1.2.md"), "v1.2.html");
    }
}
