//! Which function Vercel would choose: `vercel.json`'s rewrites and the files under `api/`.
//!
//! Strict where the platform's leniency is not documented: a path with a slash at its end
//! reaches a function only through a rewrite that says so. A construct that is not
//! understood here fails the test instead of being guessed.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// The routing table of a deployment.
pub(crate) struct Routes {
    /// URL → what answers it: functions by their file, static files by theirs.
    files: BTreeMap<String, String>,
    rewrites: Vec<(String, String)>,
}

impl Routes {
    /// Reads `vercel.json`, `api/` and the static files of a repository.
    pub(crate) fn of(repository: &Path) -> Self {
        let config =
            fs::read_to_string(repository.join("vercel.json")).expect("vercel.json");
        let config: Value = serde_json::from_str(&config).expect("vercel.json is JSON");
        let mut files = BTreeMap::new();
        for file in walk(&repository.join("public")) {
            let url = file.strip_suffix("index.html").unwrap_or(&file);
            files.insert(format!("/{url}"), format!("public/{file}"));
        }
        for file in walk(&repository.join("api")) {
            let private = file.starts_with('_') || file.contains("/_");
            if let (Some(url), false) = (file.strip_suffix(".rs"), private) {
                assert!(
                    !url.contains('['),
                    "dynamic segments are not understood: {file}"
                );
                let url = url.strip_suffix("/index").unwrap_or(url);
                files.insert(format!("/api/{url}"), format!("api/{file}"));
            }
        }
        Self::new(&config, files)
    }

    /// The table of this configuration over these files.
    pub(crate) fn new(config: &Value, files: BTreeMap<String, String>) -> Self {
        for key in ["routes", "trailingSlash", "cleanUrls", "redirects"] {
            assert!(config[key].is_null(), "{key} is not understood");
        }
        let rules = config["rewrites"].as_array().into_iter().flatten();
        let rewrites = rules.map(|rule| {
            let known = rule.as_object().expect("a rewrite is an object").len() == 2;
            assert!(known, "only source and destination are understood: {rule}");
            let text =
                |key: &str| rule[key].as_str().expect("source, destination").to_owned();
            (text("source"), text("destination"))
        });
        let rewrites = rewrites.collect();
        Self { files, rewrites }
    }

    /// The file that answers this path; `None` is the platform's own 404.
    pub(crate) fn serves(&self, path: &str) -> Option<&str> {
        if let Some(file) = self.files.get(path) {
            return Some(file);
        }
        self.rewrites.iter().find_map(|(source, destination)| {
            let mut found = Vec::new();
            if !matches(&parse(source), path, &mut found) {
                return None;
            }
            let mut target = destination.clone();
            // The longest names first: `:path` must not eat the beginning of `:pathname`.
            found.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            for (name, value) in found {
                target = target.replace(&format!(":{name}*"), &value);
                target = target.replace(&format!(":{name}"), &value);
                target = target.replace(&format!("${name}"), &value);
            }
            let target = target.split('?').next().unwrap_or_default();
            // `check`: a destination without a file lets the next rule try.
            self.files.get(target).map(String::as_str)
        })
    }
}

/// A piece of a path pattern.
enum Piece {
    Text(String),
    /// One segment.
    One(String),
    /// Any number of segments, with the slash before them.
    Many(String),
    /// `(.*)`, by its number.
    Rest(String),
    /// `:name(a|b)` or `(a|b)`.
    Either(String, Vec<String>),
}

fn parse(source: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut groups = 0;
    while !rest.is_empty() {
        let at = rest.find([':', '(']).unwrap_or(rest.len());
        let mut text = rest[..at].to_owned();
        rest = &rest[at..];
        let mut name = String::new();
        if let Some(after) = rest.strip_prefix(':') {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            name = after.chars().take_while(|c| word(*c)).collect();
            rest = &after[name.len()..];
        }
        let mut piece = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (pattern, after) = after.split_once(')').expect("a group is closed");
            rest = after;
            if name.is_empty() {
                groups += 1;
                name = groups.to_string();
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_|".contains(c);
            piece = Some(if pattern == ".*" {
                Piece::Rest(name.clone())
            } else {
                assert!(pattern.chars().all(plain), "not understood: {source}");
                Piece::Either(
                    name.clone(),
                    pattern.split('|').map(str::to_owned).collect(),
                )
            });
        } else if let Some(after) = rest.strip_prefix('*') {
            assert!(text.ends_with('/') && !name.is_empty(), "not understood: {source}");
            text.pop();
            rest = after;
            piece = Some(Piece::Many(name.clone()));
        }
        assert!(!rest.starts_with(['*', '+', '?', '{']), "not understood: {source}");
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if let Some(piece) = piece {
            pieces.push(piece);
        } else if !name.is_empty() {
            pieces.push(Piece::One(name));
        }
    }
    pieces
}

/// Whether the whole path matches; the shortest values are tried first, as `*?` does.
fn matches(pieces: &[Piece], path: &str, found: &mut Vec<(String, String)>) -> bool {
    let Some((first, others)) = pieces.split_first() else { return path.is_empty() };
    let mut take = |name: &str, value: &str, rest: &str| {
        found.push((name.to_owned(), value.to_owned()));
        let matched = matches(others, rest, found);
        if !matched {
            found.pop();
        }
        matched
    };
    match first {
        Piece::Text(text) => path
            .strip_prefix(text.as_str())
            .is_some_and(|rest| matches(others, rest, found)),
        Piece::One(name) => {
            let end = path.find('/').unwrap_or(path.len());
            end > 0 && take(name, &path[..end], &path[end..])
        }
        Piece::Many(name) => {
            let mut ends = vec![0];
            let mut at = 0;
            while let Some(segment) = path[at..].strip_prefix('/') {
                let length = segment.find('/').unwrap_or(segment.len());
                if length == 0 {
                    break;
                }
                at += 1 + length;
                ends.push(at);
            }
            ends.iter().any(|end| {
                take(name, path[..*end].trim_start_matches('/'), &path[*end..])
            })
        }
        Piece::Rest(name) => (0..=path.len())
            .rev()
            .filter(|end| path.is_char_boundary(*end))
            .any(|end| take(name, &path[..end], &path[end..])),
        Piece::Either(name, words) => words.iter().any(|word| {
            path.strip_prefix(word.as_str()).is_some_and(|rest| take(name, word, rest))
        }),
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                let path = entry.path();
                let relative = path.strip_prefix(folder).expect("found below it");
                files.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Routes;

    fn routes() -> Routes {
        let config = json!({ "rewrites": [
            { "source": "/v1/:path*", "destination": "/api/:path*" },
            { "source": "/items/:id/edit", "destination": "/api/items" },
            { "source": "/:path*/", "destination": "/:path*" },
            { "source": "/old/(.*)", "destination": "/api/$1" },
            { "source": "/:kind(cats|dogs)/all", "destination": "/api/:kind" },
        ]});
        let files = ["/api/chat/stream", "/api/chat", "/api/items", "/api/dogs", "/"];
        Routes::new(&config, files.map(|url| (url.to_owned(), url.to_owned())).into())
    }

    #[test]
    fn paths_reach_functions_as_on_the_platform() {
        for (path, served) in [
            ("/api/chat/stream", Some("/api/chat/stream")),
            ("/v1/chat/stream", Some("/api/chat/stream")),
            ("/v1/chat", Some("/api/chat")),
            ("/v1", None),
            ("/items/42/edit", Some("/api/items")),
            ("/items//edit", None),
            ("/items/4/2/edit", None),
            ("/api/chat/", Some("/api/chat")),
            ("/api/chat//", None),
            ("/old/chat/stream", Some("/api/chat/stream")),
            ("/dogs/all", Some("/api/dogs")),
            ("/cats/all", None),
            ("/birds/all", None),
            ("/", Some("/")),
            ("/api", None),
        ] {
            assert_eq!(routes().serves(path), served, "{path}");
        }
    }

    #[test]
    #[should_panic(expected = "not understood")]
    fn a_pattern_that_is_not_understood_is_no_guess() {
        let config =
            json!({ "rewrites": [{ "source": "/((?!x).*)", "destination": "/" }] });
        Routes::new(&config, [].into()).serves("/y");
    }
}
