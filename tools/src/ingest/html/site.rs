//! Sites: a folder of pages of HTML, or what a sitemap lists of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path},
};

use super::{
    super::read,
    HtmlPage, page,
    tree::{Syntax, Tree},
};
use crate::Outcome;

/// Why an address is none of ours.
const ELSEWHERE: &str = "not an address of this site";

/// So many reasons are given when a sitemap has no page at all.
const REASONS: usize = 3;

/// A site as far as it lies in a folder.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Site {
    /// Its pages, sorted by path.
    pub pages: Vec<SitePage>,
    /// What was left out and why, one line each, with the name of the file or the address.
    pub warnings: Vec<String>,
}

/// A page of a site.
#[derive(Debug)]
pub(in crate::ingest) struct SitePage {
    /// Its file, relative to the folder, with forward slashes.
    pub path: String,
    /// Its address, relative to the site's; empty for the front page.
    pub link: String,
    /// What it says.
    pub html: HtmlPage,
}

/// All `.html` and `.htm` pages in `dir`. A page's address is its path, but for those whose
/// canonical address says that they are found without `index.html` or `.html`. Pages that
/// search engines shall not list (mdBook's `print.html` is the whole book once more) and
/// `404.html` are left out. Fails on the first page that cannot be read, with its name.
pub(in crate::ingest) fn folder(dir: &Path) -> Outcome<Site> {
    let files = read::walk(dir, |file| is_html(file).then_some(()))?;
    if files.is_empty() {
        return Err(format!("{}: no .html or .htm file here", dir.display()).into());
    }
    let mut site = Site::default();
    for (path, file, about, ()) in files {
        if path == "404.html" || path.ends_with("/404.html") {
            continue;
        }
        let html = page(&read::text(&file, &about)?);
        if html.is_unlisted {
            site.warnings.push(format!("{path}: not listed, left out"));
        } else if html.markdown.is_empty() {
            site.warnings.push(format!("{path}: no text"));
        } else {
            let link = link(&path, html.canonical.as_deref());
            site.pages.push(SitePage { path, link, html });
        }
    }
    Ok(site)
}

/// The pages that a sitemap lists, from the files beside it. `from` is the sitemap or the
/// folder with a `sitemap.xml`; `base` is the address of that folder, with or without the
/// last slash. Files that are missing and addresses elsewhere are warnings.
pub(in crate::ingest) fn sitemap(from: &Path, base: &str) -> Outcome<Site> {
    let file = if from.is_dir() { from.join("sitemap.xml") } else { from.to_path_buf() };
    let dir = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let base = base.trim_end_matches('/');
    let mut site = Site::default();
    let mut seen = BTreeSet::from([file.clone()]);
    let mut maps = vec![file];
    let mut pages = BTreeMap::new();
    while let Some(map) = maps.pop() {
        let tree = Tree::read(&text(&map)?, Syntax::Xml);
        let lists_maps = tree.named("sitemapindex").next().is_some();
        if !lists_maps && tree.named("urlset").next().is_none() {
            return Err(format!("{}: no sitemap", map.display()).into());
        }
        for loc in tree.named("loc") {
            let parent = tree.name(tree.node(loc).parent);
            if !parent.ends_with("url") && !parent.ends_with("sitemap") {
                continue;
            }
            let address = tree.text(loc).trim().to_owned();
            match located(&dir, base, &address, lists_maps) {
                Ok((path, _)) if lists_maps => {
                    let file = dir.join(path);
                    if seen.insert(file.clone()) {
                        maps.push(file);
                    }
                }
                Ok((path, link)) => {
                    pages.entry(path).or_insert(link);
                }
                Err(why) => site.warnings.push(format!("{address}: {why}")),
            }
        }
    }
    if pages.is_empty() {
        let why = if site.warnings.is_empty() {
            "it lists no page".to_owned()
        } else if base.is_empty() {
            "set BOOK_BASE_URL to what the addresses in it begin with".to_owned()
        } else if site.warnings.iter().all(|it| it.ends_with(ELSEWHERE)) {
            format!("no address in it begins with BOOK_BASE_URL, {base}")
        } else {
            "none of the listed pages is in this folder".to_owned()
        };
        let reasons: Vec<_> =
            [why].into_iter().chain(site.warnings.into_iter().take(REASONS)).collect();
        return Err(format!("{}: {}", from.display(), reasons.join("; ")).into());
    }
    for (path, link) in pages {
        let html = page(&text(&dir.join(&path))?);
        if html.markdown.is_empty() {
            site.warnings.push(format!("{path}: no text"));
        } else {
            site.pages.push(SitePage { path, link, html });
        }
    }
    Ok(site)
}

/// The file of an address and its address relative to `base`, or why there is none.
fn located(
    dir: &Path,
    base: &str,
    address: &str,
    is_map: bool,
) -> Result<(String, String), &'static str> {
    let rest = address.strip_prefix(base).ok_or(ELSEWHERE)?;
    if !rest.is_empty() && !rest.starts_with(['/', '?', '#']) {
        return Err(ELSEWHERE);
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let link = decoded(rest.trim_start_matches('/')).ok_or("no UTF-8 in its escapes")?;
    let is_inside =
        Path::new(&link).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_inside || link.contains('\\') {
        return Err("leads out of the folder");
    }
    let stem = link.trim_end_matches('/');
    let candidates = if is_map {
        vec![link.clone()]
    } else if stem.is_empty() {
        vec!["index.html".into(), "index.htm".into()]
    } else {
        vec![
            link.clone(),
            format!("{stem}.html"),
            format!("{stem}/index.html"),
            format!("{stem}.htm"),
            format!("{stem}/index.htm"),
        ]
    };
    let found = candidates
        .into_iter()
        .find(|path| (is_map || is_html(Path::new(path))) && dir.join(path).is_file());
    found.map(|path| (path, link)).ok_or("no such file in the folder")
}

/// The address of the page at `path`, shortened as its canonical address is.
fn link(path: &str, canonical: Option<&str>) -> String {
    let address = canonical.and_then(|it| {
        let it = it.split(['?', '#']).next().unwrap_or_default();
        decoded(it.split_once("://").map_or(it, |(_, rest)| rest))
    });
    let Some(address) = address else { return path.to_owned() };
    let is_at = |short: &str| {
        address
            .strip_suffix(short)
            .is_some_and(|rest| rest.ends_with('/') || rest.is_empty())
    };
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let folder = if stem == "index" { Some("") } else { stem.strip_suffix("index") };
    let folder = folder.filter(|it| it.is_empty() || it.ends_with('/'));
    let shorter = [folder, folder.map(|it| it.trim_end_matches('/')), Some(stem)];
    let mut shorter = shorter.into_iter().flatten();
    // The front page's short address is empty, and every address ends so.
    let found = shorter.find(|short| {
        if short.is_empty() {
            address.ends_with('/') || !address.contains('/')
        } else {
            is_at(short)
        }
    });
    found.unwrap_or(path).to_owned()
}

/// `%20` and its like as the characters that they stand for.
pub(in crate::ingest) fn decoded(address: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = if *first == b'%' {
            let digits = behind.get(..2).and_then(|it| std::str::from_utf8(it).ok());
            digits.and_then(|it| u8::from_str_radix(it, 16).ok())
        } else {
            None
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).ok()
}

fn is_html(file: &Path) -> bool {
    file.extension().is_some_and(|it| {
        ["html", "htm", "xhtml"].iter().any(|known| it.eq_ignore_ascii_case(known))
    })
}

fn text(file: &Path) -> Outcome<String> {
    let about = fs::metadata(file).map_err(|err| read::failed(file, &err))?;
    read::text(file, &about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    fn links(site: &Site) -> Vec<(&str, &str)> {
        site.pages.iter().map(|it| (it.path.as_str(), it.link.as_str())).collect()
    }

    #[test]
    fn a_folder_gives_its_pages_and_leaves_out_what_is_not_listed() {
        let dir = files(&[
            ("b/one.html", "<h1>One</h1>"),
            ("index.htm", "\u{feff}<p>Start"),
            ("print.html", "<meta name=robots content='noindex'><h1>All</h1>"),
            ("old.html", "<meta http-equiv=refresh content='0; url=b/one.html'>Moved"),
            ("404.html", "<p>Not found"),
            ("empty.html", "<nav>Menu</nav>"),
            ("style.css", "p {}"),
            (".git/x.html", "<p>x"),
        ]);
        let site = folder(dir.path()).unwrap();
        assert_eq!(
            links(&site),
            [("b/one.html", "b/one.html"), ("index.htm", "index.htm")]
        );
        assert_eq!(site.pages[1].html.markdown, "Start\n");
        assert_eq!(
            site.warnings,
            [
                "empty.html: no text",
                "old.html: not listed, left out",
                "print.html: not listed, left out"
            ]
        );
    }

    #[test]
    fn a_page_has_the_short_address_that_it_calls_canonical() {
        for (path, canonical, expected) in [
            ("a/index.html", "https://book.example/x/a/", "a/"),
            ("a/index.html", "https://book.example/x/a", "a"),
            ("a/index.html", "https://book.example/x/a/index.html", "a/index.html"),
            ("index.html", "https://book.example/x/", ""),
            ("index.html", "https://book.example", ""),
            ("a/b.html", "https://book.example/a/b", "a/b"),
            ("a/b.html", "https://book.example/a/b.html", "a/b.html"),
            ("a/b.html", "https://book.example/other", "a/b.html"),
            ("a b/index.html", "/a%20b/?from=x#y", "a b/"),
            ("myindex.html", "https://book.example/my", "myindex.html"),
        ] {
            assert_eq!(link(path, Some(canonical)), expected, "{path} {canonical}");
        }
        assert_eq!(link("a/index.html", None), "a/index.html");
    }

    #[test]
    fn a_sitemap_names_the_pages_and_their_addresses() {
        let map = "<?xml version='1.0'?><urlset xmlns='x'>\
            <url><loc>https://book.example/docs/</loc></url>\
            <url><loc> https://book.example/docs/a%20b </loc><lastmod>x</lastmod></url>\
            <url><loc>https://book.example/docs/c/</loc>\
              <image:image><image:loc>https://book.example/docs/c.png</image:loc></image:image></url>\
            <url><loc>https://book.example/docs/gone</loc></url>\
            <url><loc>https://book.example/docs/../../etc/passwd</loc></url>\
            <url><loc>https://book.example/docsother</loc></url>\
            <url><loc>https://else.example/docs/a</loc></url></urlset>";
        let dir = files(&[
            ("sitemap.xml", map),
            ("index.html", "<p>Start"),
            ("a b.html", "<p>a"),
            ("c/index.html", "<p>c"),
            ("unlisted.html", "<p>no"),
        ]);
        let site = sitemap(dir.path(), "https://book.example/docs/").unwrap();
        assert_eq!(
            links(&site),
            [("a b.html", "a b"), ("c/index.html", "c/"), ("index.html", "")]
        );
        let warnings = site.warnings.join("\n");
        assert_eq!(site.warnings.len(), 4, "{warnings}");
        assert!(warnings.contains("docs/gone: no such file"), "{warnings}");
        assert!(warnings.contains("passwd: leads out"), "{warnings}");
        let one = sitemap(&dir.path().join("sitemap.xml"), "https://book.example/docs");
        assert_eq!(one.unwrap().pages.len(), 3);
    }

    #[test]
    fn a_sitemap_without_a_page_says_which_setting_does_not_fit() {
        let pages = ["a", "b", "c", "d"]
            .map(|it| format!("<url><loc>https://book.example/{it}</loc></url>"));
        let map = format!("<urlset>{}</urlset>", pages.concat());
        let dir = files(&[("sitemap.xml", &map)]);
        let refused = |base| sitemap(dir.path(), base).unwrap_err().to_string();
        let unset = refused("");
        assert!(unset.contains(": set BOOK_BASE_URL to what"), "{unset}");
        let other = refused("https://nobody.example");
        assert!(
            other.contains("begins with BOOK_BASE_URL, https://nobody.example"),
            "{other}"
        );
        let gone = refused("https://book.example");
        assert!(gone.contains("none of the listed pages is in this folder"), "{gone}");
        for wrong in [unset, other, gone] {
            assert!(
                wrong.contains("book.example/c: ") && !wrong.contains("/d: "),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_index_of_sitemaps_is_followed_once() {
        let index = "<sitemapindex><sitemap><loc>https://b.example/m.xml</loc></sitemap>\
            <sitemap><loc>https://b.example/sitemap.xml</loc></sitemap>\
            <sitemap><loc>https://b.example/none.xml</loc></sitemap></sitemapindex>";
        let map = "<urlset><url><loc>https://b.example/a.html</loc></url></urlset>";
        let dir = files(&[("sitemap.xml", index), ("m.xml", map), ("a.html", "<p>a")]);
        let site = sitemap(dir.path(), "https://b.example").unwrap();
        assert_eq!(links(&site), [("a.html", "a.html")]);
        assert_eq!(
            site.warnings,
            ["https://b.example/none.xml: no such file in the folder"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = files(&[("good.html", "<p>a")]);
        fs::write(dir.path().join("bad.html"), b"caf\xe9").unwrap();
        let err = folder(dir.path()).unwrap_err().to_string();
        assert!(err.contains("bad.html") && err.contains("UTF-8"), "{err}");
        let dir = files(&[("sitemap.xml", "<p>no")]);
        let err = sitemap(dir.path(), "https://b.example").unwrap_err().to_string();
        assert!(err.contains("sitemap.xml: no sitemap"), "{err}");
    }
}
