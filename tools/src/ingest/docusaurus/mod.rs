//! Books of Docusaurus: which files are pages, where the site puts them, and what of MDX
//! their readers see.

mod mdx;
mod partial;
mod route;
mod settings;
mod stub;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

use self::{partial::Partials, route::Rules, settings::Settings};
use super::{
    anchors::Slugs,
    front::{self, Front},
    kind, markdown,
    read::{self, Book, Format, Page},
};
use crate::Outcome;

/// One folder of pages and where the site shows it.
#[derive(Default)]
struct Docs {
    /// The folder.
    folder: PathBuf,
    /// What the paths of its pages begin with, when there are several folders.
    label: String,
    /// The route of its first page, without slashes around it: `my-book/docs`.
    route: String,
    /// What else decides about the routes of its pages.
    rules: Rules,
}

/// The pages that were read, by their text: who says it once more repeats them.
type Bodies = HashMap<String, String>;

/// The pages of the site, or of the folder of pages. `base` is the path of `BOOK_BASE_URL`;
/// what it shares with the routes is not said twice.
pub(super) fn read(from: &Path, base: &str) -> Outcome<Book> {
    let from = kind::real(from);
    let above = from.parent().filter(|it| kind::settings(it).is_some());
    let site = if kind::settings(&from).is_some() { Some(from.as_path()) } else { above };
    let settings = match site.and_then(kind::settings) {
        Some(file) => {
            let about = fs::metadata(&file).map_err(|err| read::failed(&file, &err))?;
            Some(Settings::read(&read::text(&file, &about)?))
        }
        None => None,
    };
    let mut book = Book::default();
    let mut bodies = Bodies::new();
    let mut partials = Partials::new(site.unwrap_or(&from));
    for docs in folders(&from, site, settings.as_ref())? {
        let docs = Docs { route: beyond(base, &docs.route), ..docs };
        pages(&docs, (&mut partials, &mut bodies), &mut book)?;
    }
    book.missing.append(&mut partials.missing);
    if book.pages.is_empty() {
        return Err(
            format!("{}: no page of a Docusaurus site here", from.display()).into()
        );
    }
    Ok(book)
}

/// The folders that are read: of a site with versions only the one that its readers get.
fn folders(
    from: &Path,
    site: Option<&Path>,
    settings: Option<&Settings>,
) -> Outcome<Vec<Docs>> {
    let (Some(site), Some(settings)) = (site, settings) else {
        // Pages without their site: where they are mounted is what BOOK_BASE_URL says.
        let inner = from.join("docs");
        let has_inner = inner.is_dir()
            && ["sidebars.js", "sidebars.ts"].iter().any(|it| from.join(it).is_file());
        let folder = if has_inner { inner } else { from.to_owned() };
        return Ok(vec![Docs { folder, ..Docs::default() }]);
    };
    let has_many = settings.docs.len() > 1;
    let mut found = Vec::new();
    for docs in &settings.docs {
        let route = [settings.base_url.as_str(), &docs.route]
            .map(|it| it.trim_matches('/'))
            .iter()
            .filter(|it| !it.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("/");
        let current = site.join(&docs.path);
        let label = if has_many { format!("{}/", docs.path) } else { String::new() };
        let (versions, prefix) = versions(site, docs.id.as_deref())?;
        let last = docs.last_version.as_deref();
        let named = versions.iter().find(|it| last == Some(it.as_str()));
        let released = named.or(versions.first()).filter(|_| last != Some("current"));
        let released =
            released.map(|it| site.join(format!("{prefix}versioned_docs/version-{it}")));
        let rules =
            Rules { slash: settings.trailing_slash, keeps_numbers: docs.keeps_numbers };
        let is_asked = |folder: &Path| from == site || kind::real(folder) == from;
        match released {
            Some(folder) if is_asked(&folder) && folder.is_dir() => {
                found.push(Docs { folder, label, route, rules });
            }
            // Asked for by name: what will be the next version.
            Some(_) if from != site && is_asked(&current) => {
                let route = format!("{route}/next").trim_start_matches('/').to_owned();
                found.push(Docs { folder: current, label, route, rules });
            }
            _ if is_asked(&current) && current.is_dir() => {
                found.push(Docs { folder: current, label, route, rules });
            }
            _ => {}
        }
    }
    if found.is_empty() && from != site {
        // A folder of the site that its settings do not name as plain words.
        let rules = Rules { slash: settings.trailing_slash, ..Rules::default() };
        found.push(Docs { folder: from.to_owned(), rules, ..Docs::default() });
    }
    Ok(found)
}

/// The site's versions, newest first, and how the names of their folders begin.
fn versions(site: &Path, id: Option<&str>) -> Outcome<(Vec<String>, String)> {
    let prefix =
        id.filter(|it| *it != "default").map_or(String::new(), |it| format!("{it}_"));
    let file = site.join(format!("{prefix}versions.json"));
    let Ok(about) = fs::metadata(&file) else { return Ok((Vec::new(), prefix)) };
    let versions = serde_json::from_str(&read::text(&file, &about)?)
        .map_err(|err| format!("{}: {err}", file.display()))?;
    Ok((versions, prefix))
}

/// `route` without what `base` already says: under `https://x.io/my-book` the route
/// `my-book/docs` is `docs`.
fn beyond(base: &str, route: &str) -> String {
    let base = base.trim_matches('/');
    let rest = route.strip_prefix(base).filter(|_| !base.is_empty());
    let rest = rest.filter(|it| it.is_empty() || it.starts_with('/'));
    rest.unwrap_or(route).trim_matches('/').to_owned()
}

/// Adds the pages of one folder to the book.
fn pages(
    docs: &Docs,
    (partials, bodies): (&mut Partials<'_>, &mut Bodies),
    book: &mut Book,
) -> Outcome {
    let is_page = |file: &Path| {
        file.extension().filter(|it| *it == "md" || *it == "mdx").map(|_| ())
    };
    let found = read::walk(&docs.folder, is_page)?;
    let labels = labels(&docs.folder)?;
    for (path, file, about, ()) in found {
        if path.split('/').any(|it| it.starts_with('_')) {
            book.leave_out("parts of other pages");
            continue;
        }
        let place = (path.as_str(), file.as_path(), &about);
        if let Some(page) = page(docs, place, (partials, bodies), book)? {
            let parents = ancestors(&path).filter_map(|it| labels.get(it).cloned());
            let parents = parents.collect();
            book.pages.push(Page {
                parents,
                path: format!("{}{path}", docs.label),
                ..page
            });
        }
    }
    Ok(())
}

/// One page, or `None` when its readers do not find it or find nothing in it.
fn page(
    docs: &Docs,
    (path, file, about): (&str, &Path, &Metadata),
    (partials, bodies): (&mut Partials<'_>, &mut Bodies),
    book: &mut Book,
) -> Outcome<Option<Page>> {
    let source = read::text(file, about)?;
    let front = front::read(&source);
    if front.is_on("draft") || front.is_on("unlisted") {
        book.leave_out("drafts and unlisted pages");
        return Ok(None);
    }
    let body = mdx::text(&partials.resolved(file, &source)?);
    let name = format!("{}{path}", docs.label);
    if stub::is_stub(&body) {
        book.leave_out("stubs");
        book.warnings.push(format!("{name}: a stub, left out"));
        return Ok(None);
    }
    match bodies.entry(body.split_whitespace().collect::<Vec<_>>().join(" ")) {
        Entry::Occupied(first) => {
            book.leave_out("pages that repeat another");
            book.warnings.push(format!("{name}: repeats {}, left out", first.get()));
            return Ok(None);
        }
        Entry::Vacant(first) => first.insert(name),
    };
    let address = route::of(&docs.route, path, &front, docs.rules);
    let source = source[..front.len].to_owned() + &body;
    let source = markdown::without_definitions(&source);
    let title = title(&front, &body);
    let page = Page::new(path.to_owned(), source, Format::Markdown);
    Ok(Some(Page { address, title, slugs: Slugs::Docusaurus, ..page }))
}

/// The name in the sidebar, for a page that has no other.
fn title(front: &Front, body: &str) -> Option<String> {
    let has_heading = markdown::blocks(body, 0)
        .iter()
        .any(|it| matches!(it.kind, markdown::Kind::Heading { level: 1, .. }));
    let is_named = has_heading || front.title.is_some();
    front.field("sidebar_label").filter(|_| !is_named).map(str::to_owned)
}

/// The folders that a page is in: `a/b/c.md` is in `a` and in `a/b`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// What the folders are called, by their `_category_` files.
fn labels(root: &Path) -> Outcome<BTreeMap<String, String>> {
    let is_category = |file: &Path| {
        let name = file.file_name()?.to_str()?;
        matches!(name, "_category_.json" | "_category_.yml" | "_category_.yaml")
            .then_some(())
    };
    let mut labels = BTreeMap::new();
    for (path, file, about, ()) in read::walk(root, is_category)? {
        let text = read::text(&file, &about)?;
        let label = if file.extension().is_some_and(|it| it == "json") {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            json["label"].as_str().map(str::to_owned)
        } else {
            front::read(&format!("---\n{text}\n---\n")).field("label").map(str::to_owned)
        };
        if let (Some(label), Some((folder, _))) = (label, path.rsplit_once('/')) {
            labels.insert(folder.to_owned(), label);
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_address_is_not_repeated_in_a_route() {
        assert_eq!(beyond("", "my-book/docs"), "my-book/docs");
        assert_eq!(beyond("/my-book/", "my-book/docs"), "docs");
        assert_eq!(beyond("/my-book/docs", "my-book/docs"), "");
        assert_eq!(beyond("/my", "my-book/docs"), "my-book/docs");
        assert_eq!(beyond("/else", "docs"), "docs");
    }

    #[test]
    fn folders_above_a_page_are_named_from_the_outermost() {
        assert!(ancestors("a/b/c.md").eq(["a", "a/b"]));
    }
}
