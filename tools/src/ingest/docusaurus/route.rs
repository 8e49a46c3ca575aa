//! Where a Docusaurus site puts a page.

use super::super::front::Front;

/// The route of the page `path`, without a slash at its start. `root` is the route of its
/// folder of pages, `slash` the site's `trailingSlash`.
pub(super) fn of(root: &str, path: &str, front: &Front, slash: Option<bool>) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |it| it.0);
    let has_prefixes = front.field("parse_number_prefixes") != Some("false");
    let clean = |it| if has_prefixes { without_number(it) } else { it };
    let folders: Vec<&str> = folder.split('/').map(without_number).collect();
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
    match slash {
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
        of("docs", path, &front::read(&format!("---\n{fields}\n---\n")), None)
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
        assert_eq!(route("01-a/02-b.md", "parse_number_prefixes: false"), "docs/a/02-b");
    }

    #[test]
    fn the_slash_at_the_end_is_the_sites_choice() {
        let front = Front::default();
        assert_eq!(of("", "a.md", &front, Some(true)), "a/");
        assert_eq!(of("", "a/index.md", &front, Some(false)), "a");
        assert_eq!(of("", "index.md", &front, Some(true)), "");
    }
}
