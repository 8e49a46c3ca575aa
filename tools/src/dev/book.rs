//! The book's pages, so that sources open on the passage that they quote.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use axum::{
    extract::{self, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};

use super::page;

/// The folder of the book, or its one file.
#[derive(Clone)]
pub(super) struct Folder(Arc<PathBuf>);

/// Scripts in a page would run at the address of the reader's page, where the token is: only
/// our own files are scripts here, and of them the page names `embed.js`.
const POLICY: &str = "default-src 'none'; script-src 'self'; frame-src 'self'; \
                      style-src 'unsafe-inline'; img-src * data:; media-src *; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The pages that stand for their folder.
const FRONTS: [&str; 3] = ["index.md", "README.md", "SUMMARY.md"];

/// What is shown as HTML, as `lectern ingest` knows it.
const MARKDOWN: [&str; 3] = ["md", "markdown", "mdown"];

impl Folder {
    pub(super) fn new(book: &Path) -> Self {
        Self(Arc::new(book.to_owned()))
    }

    /// What lies at a path of the book; `None` for one that leaves it.
    fn at(&self, path: &str) -> Option<PathBuf> {
        if self.0.is_file() {
            return (self.0.file_name()?.to_str()? == path).then(|| self.0.to_path_buf());
        }
        let is_inside = |it| matches!(it, Component::Normal(name) if !is_hidden(name));
        let stays = Path::new(path).components().all(is_inside);
        let file = stays.then(|| self.0.join(path))?;
        if file.exists() {
            return Some(file);
        }
        // Books that are published as HTML link to their pages by that name.
        let is_html = file.extension().is_none_or(|it| it == "html");
        let pages = MARKDOWN.into_iter().map(|it| file.with_extension(it));
        pages.filter(|_| is_html).find(|it| it.is_file())
    }

    /// The page that stands for a folder of the book.
    fn front(&self, folder: &Path) -> Option<PathBuf> {
        if self.0.is_file() {
            return Some(self.0.to_path_buf());
        }
        FRONTS.into_iter().map(|name| folder.join(name)).find(|it| it.is_file())
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// `/book/`: the first page, or the only one, or a list.
pub(super) async fn front(State(book): State<Folder>) -> Response {
    folder(&book, &book.0, "")
}

/// `/book/{path}`: a page as HTML with the anchors that ingesting gave it, a picture, or a
/// folder.
pub(super) async fn page(
    State(book): State<Folder>,
    extract::Path(path): extract::Path<String>,
) -> Response {
    match book.at(&path) {
        Some(found) if found.is_dir() && path.ends_with('/') => {
            folder(&book, &found, &path)
        }
        // Without the slash its links would lead beside it.
        Some(found) if found.is_dir() => {
            Redirect::temporary(&format!("/book/{}/", encoded(&path))).into_response()
        }
        Some(found) => file(&found, &path),
        None => missing(&path),
    }
}

fn folder(book: &Folder, folder: &Path, path: &str) -> Response {
    match book.front(folder) {
        Some(front) => file(&front, path),
        None => html(&list(folder), path),
    }
}

fn file(file: &Path, path: &str) -> Response {
    let kind = file.extension().and_then(OsStr::to_str).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let kind = match kind.as_str() {
        "txt" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "svg" => "image/svg+xml",
        markdown if MARKDOWN.contains(&markdown) => {
            return match fs::read_to_string(file) {
                Ok(text) => html(&text, path),
                Err(_) => missing(path),
            };
        }
        _ => return missing(path),
    };
    match fs::read(file) {
        Ok(bytes) => (safely(kind), bytes).into_response(),
        Err(_) => missing(path),
    }
}

fn html(text: &str, path: &str) -> Response {
    (safely("text/html; charset=utf-8"), page::document(path, text)).into_response()
}

fn safely(kind: &'static str) -> [(header::HeaderName, &'static str); 4] {
    [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}

fn missing(path: &str) -> Response {
    let text = "# The book has no such page\n\nHere is [its beginning](/book/).\n";
    (StatusCode::NOT_FOUND, html(text, path)).into_response()
}

/// The Markdown of a list of what a folder holds.
fn list(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|it| listed(&it.path())).collect();
    names.sort();
    let mut text = "# Pages\n\n".to_owned();
    for name in names {
        let mut words = String::new();
        for c in name.chars() {
            let mark = if c.is_ascii_punctuation() { "\\" } else { "" };
            write!(words, "{mark}{c}").ok();
        }
        writeln!(text, "- [{words}](./{})", encoded(&name)).ok();
    }
    text
}

/// The name of a page or a folder.
fn listed(path: &Path) -> Option<String> {
    let name = path.file_name().filter(|it| !is_hidden(it))?.to_str()?;
    if path.is_dir() {
        return Some(format!("{name}/"));
    }
    let kind = path.extension()?.to_str()?.to_ascii_lowercase();
    (kind == "txt" || MARKDOWN.contains(&kind.as_str())).then(|| name.to_owned())
}

/// A path as an address spells it.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn book(files: &[&str]) -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        for path in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("# About {path}\n")).unwrap();
        }
        let folder = Folder::new(root.path());
        (root, folder)
    }

    async fn open(book: &Folder, path: &str) -> Response {
        page(State(book.clone()), extract::Path(path.to_owned())).await
    }

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_path_cannot_leave_the_book() {
        let (root, book) = book(&["in/a.md", "in/a/.hidden/b.md", "secret.md"]);
        let book = Folder::new(&book.0.join("in"));
        assert!(root.path().join("in/../secret.md").exists());
        for path in
            ["../secret.md", "a/../../secret.md", "/etc/passwd", ".", "a/.hidden/b.md"]
        {
            assert!(book.at(path).is_none(), "{path}");
        }
        assert_eq!(book.at("a.md").unwrap(), root.path().join("in/a.md"));
    }

    #[tokio::test]
    async fn pages_are_found_by_the_names_that_books_link_to() {
        let (_root, book) = book(&["ch01/größe.md", "ch01/README.md", "B.MD", "c.txt"]);
        for path in ["ch01/größe.md", "ch01/größe.html", "ch01/größe", "ch01/", "B.MD"]
        {
            let response = open(&book, path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        }
        assert_eq!(open(&book, "ch01").await.headers()["location"], "/book/ch01/");
        for path in ["none.md", "ch01/none", "B.MD/x"] {
            assert_eq!(open(&book, path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn a_folder_without_a_first_page_lists_what_it_holds() {
        let (_root, book) = book(&["a b?.md", "deep/x.md", ".git/y.md", "z.sh"]);
        let list = text(front(State(book)).await).await;
        assert!(list.contains("href=\"./a%20b%3F.md\""), "{list}");
        assert!(list.contains("href=\"./deep/\""), "{list}");
        assert!(!list.contains(".git") && !list.contains("z.sh"), "{list}");
    }

    #[tokio::test]
    async fn a_book_of_one_file_shows_nothing_beside_it() {
        let (root, _) = book(&["one.md", "other.md"]);
        let book = Folder::new(&root.path().join("one.md"));
        assert!(text(front(State(book.clone())).await).await.contains("About one.md"));
        assert_eq!(open(&book, "one.md").await.status(), StatusCode::OK);
        assert_eq!(open(&book, "other.md").await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_page_can_run_no_script_of_its_own() {
        let (_root, book) = book(&["a.md", "b.svg"]);
        for path in ["a.md", "b.svg", "none.md"] {
            let response = open(&book, path).await;
            assert_eq!(response.headers()["content-security-policy"], POLICY, "{path}");
            assert_eq!(response.headers()["cache-control"], "no-cache", "{path}");
        }
    }
}
