//! Where a Docusaurus site puts a page.

use super::super::front::Front;

/// What the site's settings say of all routes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// `trailingSlash`.
    pub slash: Option<bool>,
    /// `numberPrefixParser: false`.
    pub keeps_numbers: bool,
}

/// The route of the page `path`, without a slash at its start. `root` is the route of its
/// folder of pages.
pub(super) fn of(root: &str, path: &str, front: &Front, rules: Rules) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |it| it.0);
    let keeps_numbers =
        rules.keeps_numbers || front.field("parse_number_prefixes") == Some("false");
    let clean = |it| if keeps_numbers { it } else { without_number(it) };
    let folders: Vec<&str> = folder.split('/').map(clean).collect();
    let folder_route = match folders.join("/") {
        it if it.is_empty() => "/".to_owned(),
        it => format!("/{it}/"),
    };
    let slug = match front.field("slug") {
        Some(slug) if slug.starts_with('/') => slug.to_owned(),
        Some(slug) => resolved(&folder_route, slug),
        None if is_index(stem, folder) => folder_route,
        None => resolved(&folder_route, front.field("id").unwrap_or(clean(stem))),
    };
    let route = format!("{root}{slug}");
    let route = route.trim_start_matches('/');
    match rules.slash {
        Some(true) if !route.ends_with('/') && !route.is_empty() => format!("{route}/"),
        Some(false) => route.trim_end_matches('/').to_owned(),
        _ => route.to_owned(),
    }
}

/// `index`, `README` and a page called like its folder are what the folder's route shows.
fn is_index(stem: &str, folder: &str) -> bool {
    let stem = stem.to_lowercase();
    let parent = folder.rsplit('/').next().unwrap_or_default().to_lowercase();
    stem == "index" || stem == "readme" || !parent.is_empty() && stem == parent
}

/// `01-intro` → `intro`. What looks like a version or a date keeps its numbers.
fn without_number(name: &str) -> &str {
    let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits == 0 {
        return name;
    }
    let rest = &name[digits..];
    let is_version = rest.starts_with(['-', '_', '.'])
        && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    let after = rest.trim_start();
    let suffix = after.trim_start_matches(['-', '_', '.']);
    let clean = suffix.trim_start();
    if is_version || suffix.len() == after.len() || clean.is_empty() {
        name
    } else {
        clean
    }
}

/// `slug` as a link on a page of `folder` would be understood.
fn resolved(folder: &str, slug: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in slug.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if slug.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::front;

    fn route(path: &str, fields: &str) -> String {
        let front = front::read(&format!("---\n{fields}\n---\n"));
        of("docs", path, &front, Rules::default())
    }

    #[test]
    fn numbers_before_names_are_dropped_but_not_versions_and_dates() {
        for (name, expected) in [
            ("01-intro", "intro"),
            ("1. Setup", "Setup"),
            ("003 - my-doc", "my-doc"),
            ("10_a-b", "a-b"),
            ("8.0-notes", "8.0-notes"),
            ("2021-11-release", "2021-11-release"),
            ("7-8-9", "7-8-9"),
            ("404", "404"),
            ("1-", "1-"),
            ("2fa", "2fa"),
        ] {
            assert_eq!(without_number(name), expected, "{name}");
        }
    }

    #[test]
    fn routes_follow_folders_ids_and_slugs() {
        assert_eq!(route("01-basics/02-intro.mdx", ""), "docs/basics/intro");
        assert_eq!(route("01-basics/index.md", ""), "docs/basics/");
        assert_eq!(route("basics/README.md", ""), "docs/basics/");
        assert_eq!(route("basics/Basics.md", ""), "docs/basics/");
        assert_eq!(route("index.md", ""), "docs/");
        assert_eq!(route("a/b.md", "id: c"), "docs/a/c");
        assert_eq!(route("a/b.md", "slug: /"), "docs/");
        assert_eq!(route("a/b.md", "slug: /x/y"), "docs/x/y");
        assert_eq!(route("01-a/b.md", "slug: x"), "docs/a/x");
        assert_eq!(route("a/b.md", "slug: ../x/"), "docs/x/");
    }

    #[test]
    fn a_page_or_a_site_may_keep_the_numbers_of_files_and_folders() {
        let page = "parse_number_prefixes: false";
        assert_eq!(route("01-intro/02-np.md", page), "docs/01-intro/02-np");
        assert_eq!(
            route("01-intro/02-np.md", "parse_number_prefixes: true"),
            "docs/intro/np"
        );
        let rules = Rules { keeps_numbers: true, ..Rules::default() };
        let path = "01-intro/02-np.md";
        assert_eq!(of("docs", path, &Front::default(), rules), "docs/01-intro/02-np");
    }

    #[test]
    fn the_slash_at_the_end_is_the_sites_choice() {
        let front = Front::default();
        let of = |path, slash| {
            of("", path, &front, Rules { slash: Some(slash), ..Rules::default() })
        };
        assert_eq!(of("a.md", true), "a/");
        assert_eq!(of("a/index.md", false), "a");
        assert_eq!(of("index.md", true), "");
    }
}
