//! `{{#include …}}` and its relatives: other files, or parts of them, in the place of a line.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::super::{kind::real, markdown::line_start, read};
use crate::Outcome;

/// mdBook gives up at this depth as well.
const DEEPEST: usize = 10;

/// No path is longer than this.
const LONGEST: usize = 4_096;

/// Resolves the includes of one book.
pub(super) struct Includes {
    root: PathBuf,
    /// What cannot be included, with file and line.
    pub missing: Vec<String>,
    /// Every file that was included.
    pub seen: HashSet<PathBuf>,
    /// The files and parts that are being included, outermost first.
    open: Vec<(PathBuf, String)>,
}

impl Includes {
    /// For the book under `root`, which no include may leave.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: real(root),
            missing: Vec::new(),
            seen: HashSet::new(),
            open: Vec::new(),
        }
    }

    /// The text of `file` with everything that it includes. Fails on a cycle and on a file
    /// that is there and is no text.
    pub(super) fn resolved(&mut self, file: &Path, text: &str) -> Outcome<String> {
        self.open.push((real(file), String::new()));
        let resolved = self.resolve(file, text);
        self.open.pop();
        resolved
    }

    fn resolve(&mut self, file: &Path, text: &str) -> Outcome<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = 0;
        // The line of what was read last, and where that was.
        let (mut line, mut counted) = (1, 0);
        while let Some(step) = text[rest..].find("{{") {
            let at = rest + step;
            if text[..at].ends_with('\\') && text[at..].starts_with("{{#") {
                // Escaped to the last braces of the line: it is shown as it is.
                let line = text[at..].lines().next().unwrap_or_default();
                let end = line.rfind("}}").map_or(at + 2, |it| at + it + 2);
                out.push_str(&text[rest..at - 1]);
                out.push_str(&text[at..end]);
                rest = end;
                continue;
            }
            let Some((call, len)) = call(&text[at..]) else {
                out.push_str(&text[rest..at + 2]);
                rest = at + 2;
                continue;
            };
            out.push_str(&text[rest..at]);
            rest = at + len;
            line += text[counted..at].matches('\n').count();
            counted = at;
            let content = self.content(file, line, &call)?;
            let margin = &out[line_start(&out, out.len())..];
            if margin.contains(|c: char| !c.is_whitespace() && c != '>') {
                out.push_str(&content);
            } else {
                // All of it stands in the list or the quotation that the call stands in.
                out.push_str(&content.replace('\n', &format!("\n{margin}")));
            }
            if out.len() as u64 > read::TOO_LARGE {
                return Err(
                    format!("{}: its includes are too large", self.name(file)).into()
                );
            }
        }
        out.push_str(&text[rest..]);
        Ok(out)
    }

    /// What stands in the place of one call.
    fn content(&mut self, file: &Path, line: usize, call: &Call<'_>) -> Outcome<String> {
        let place = format!("{}:{line}", self.name(file));
        let (path, part) = match call.verb {
            Verb::Title => return Ok(String::new()),
            Verb::Playground => {
                (call.words.split_whitespace().next().unwrap_or_default(), "")
            }
            Verb::Include => path_and_part(call.words),
        };
        let target = file.parent().unwrap_or(Path::new("")).join(path);
        let (Ok(target), Ok(about)) = (fs::canonicalize(&target), fs::metadata(&target))
        else {
            self.missing.push(format!("{place}: {path} is not there to be included"));
            return Ok(String::new());
        };
        if !target.starts_with(&self.root) {
            self.missing.push(format!(
                "{place}: {path} lies outside the book and is not included"
            ));
            return Ok(String::new());
        }
        if !about.is_file() {
            self.missing.push(format!("{place}: {path} is no file"));
            return Ok(String::new());
        }
        let key = (target.clone(), part.to_owned());
        if self.open.contains(&key) || self.open.len() > DEEPEST {
            let names = self.open.iter().map(|it| self.name(&it.0));
            let names: Vec<_> = names.chain([self.name(&target)]).collect();
            let chain = names.join(" includes ");
            return Err(format!("{place}: the includes go in a circle: {chain}").into());
        }
        let whole = read::text(&target, &about)?;
        self.seen.insert(target.clone());
        let taken = part_of(&whole, part);
        if taken.is_none() {
            self.missing.push(format!("{place}: {path} has no ANCHOR: {part}"));
        }
        self.open.push(key);
        let inner = self.resolve(&target, &taken.unwrap_or_default());
        self.open.pop();
        Ok(match call.verb {
            Verb::Playground => {
                format!("```rust\n{}\n```", inner?.trim_end_matches('\n'))
            }
            _ => inner?,
        })
    }

    /// A file as people of this book call it.
    fn name(&self, file: &Path) -> String {
        let file = real(file);
        read::relative(&self.root, &file).unwrap_or_else(|_| file.display().to_string())
    }
}

/// `{{#verb words}}`.
struct Call<'a> {
    verb: Verb,
    words: &'a str,
}

#[derive(Clone, Copy)]
enum Verb {
    /// `include`; and `rustdoc_include`, which adds lines that no reader sees.
    Include,
    Playground,
    Title,
}

/// The call at the start of `text` and its length; other calls are other programs'.
fn call(text: &str) -> Option<(Call<'_>, usize)> {
    let inner = text.strip_prefix("{{")?;
    let near = &inner[..inner.floor_char_boundary(LONGEST)];
    let inner = &inner[..near.find('}')?];
    let end = 2 + inner.len();
    if !text[end..].starts_with("}}") {
        return None;
    }
    let (name, words) =
        inner.trim_start().strip_prefix('#')?.split_once(char::is_whitespace)?;
    let verb = match name {
        "include" | "rustdoc_include" => Verb::Include,
        "playground" | "playpen" => Verb::Playground,
        "title" => Verb::Title,
        _ => return None,
    };
    Some((Call { verb, words: words.trim() }, end + 2))
}

/// `parts/jar.md:2:5`, `"my parts/jar.md":lid`.
fn path_and_part(words: &str) -> (&str, &str) {
    let quoted = words.strip_prefix('"').and_then(|it| it.split_once('"'));
    match quoted {
        Some((path, part)) => (path, part.trim_start().trim_start_matches(':')),
        None => words.split_once(':').unwrap_or((words, "")),
    }
}

/// The lines of `text` that `part` names: an empty one all, `2` one, `2:5`, `2:`, `:5`, `name` those
/// between `ANCHOR: name` and `ANCHOR_END: name`. The lines of anchors are never taken.
/// `None` when there is no such anchor.
fn part_of(text: &str, part: &str) -> Option<String> {
    let mut words = part.split(':').map(str::trim);
    let first = words.next().unwrap_or_default();
    let start: Option<usize> = first.parse().ok();
    if start.is_none() && !first.is_empty() {
        return anchored(text, first);
    }
    let second = words.next().map(str::parse::<usize>);
    let from = start.unwrap_or(1).saturating_sub(1);
    let to = match (start, second) {
        (_, Some(Ok(end))) => end,
        (Some(_), None) => from + 1,
        _ => usize::MAX,
    };
    let lines = text.lines().skip(from).take(to.saturating_sub(from));
    Some(lines.filter(|it| anchor(it).is_none()).collect::<Vec<_>>().join("\n"))
}

fn anchored(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    lines.find(|line| anchor(line) == Some((Border::Start, name)))?;
    let inside = lines.take_while(|line| anchor(line) != Some((Border::End, name)));
    Some(inside.filter(|it| anchor(it).is_none()).collect::<Vec<_>>().join("\n"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Border {
    Start,
    End,
}

/// The border of a region that a line marks, and the region's name.
fn anchor(line: &str) -> Option<(Border, &str)> {
    let [(end, after_end), (start, after_start)] =
        ["ANCHOR_END:", "ANCHOR:"].map(|it| match line.split_once(it) {
            Some((_, after)) => (true, after.trim_start()),
            None => (false, ""),
        });
    let (border, after) = match (end, start) {
        (true, _) => (Border::End, after_end),
        (_, true) => (Border::Start, after_start),
        _ => return None,
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let len = after.find(|c| !is_name(c)).unwrap_or(after.len());
    (len > 0).then_some((border, &after[..len]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "one\n// ANCHOR: all\ntwo\n// ANCHOR: a-b\nthree\n// ANCHOR_END: a-b\n\
                        four\n// ANCHOR_END: all\nfive\n";

    fn part(name: &str) -> String {
        part_of(CODE, name).unwrap()
    }

    #[test]
    fn parts_are_lines_or_regions() {
        assert_eq!(part(""), "one\ntwo\nthree\nfour\nfive");
        assert_eq!(part("3"), "two");
        assert_eq!(part("3:5"), "two\nthree");
        assert_eq!(part("7:"), "four\nfive");
        assert_eq!(part(":1"), "one");
        assert_eq!(part("99"), "");
        assert_eq!(part("all"), "two\nthree\nfour");
        assert_eq!(part("a-b"), "three");
        assert_eq!(part_of(CODE, "a"), None);
    }

    fn book(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    /// The page `src/a.md` as it is read, and what is missing from it.
    fn resolved(files: &[(&str, &str)]) -> Outcome<(String, Vec<String>)> {
        let outer = book(files);
        let root = outer.path().join("book");
        let mut includes = Includes::new(&root);
        let page = root.join("src/a.md");
        let text = includes.resolved(&page, &fs::read_to_string(&page).unwrap())?;
        Ok((text, includes.missing))
    }

    #[test]
    fn includes_are_resolved_where_they_stand_and_from_where_they_stand() {
        let (text, missing) = resolved(&[
            (
                "book/src/a.md",
                "A {{#include parts/b.md}} {{ #title No }}\n```rust\n\
                 {{#rustdoc_include ../code/m.rs:here}}\n```\n{{#playground ../code/p.rs editable}}\n\
                 \\{{#include parts/b.md}} and {{#quiz q.toml}} {{x}}",
            ),
            ("book/src/parts/b.md", "B{{#include c.md:2}}"),
            ("book/src/parts/c.md", "1\nC\n3"),
            ("book/code/m.rs", "use x;\n// ANCHOR: here\nlet y;\n// ANCHOR_END: here\n"),
            ("book/code/p.rs", "fn main() {}\n"),
        ])
        .unwrap();
        assert_eq!(
            text,
            "A BC \n```rust\nlet y;\n```\n```rust\nfn main() {}\n```\n\
             {{#include parts/b.md}} and {{#quiz q.toml}} {{x}}"
        );
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_is_included_stays_in_its_list_and_its_name_may_be_quoted() {
        let (text, missing) = resolved(&[
            (
                "book/src/a.md",
                "- Do:\n\n  ```sh\n  {{#include \"my code.sh\":all}}\n  ```\n\n> {{#include b.md}}\n",
            ),
            ("book/src/b.md", "B\nC\n"),
            ("book/src/my code.sh", "# ANCHOR: all\ncd\nls\n# ANCHOR_END: all\n"),
        ])
        .unwrap();
        assert_eq!(text, "- Do:\n\n  ```sh\n  cd\n  ls\n  ```\n\n> B\n> C\n");
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_cannot_be_included_is_told_with_file_and_line() {
        let (text, missing) = resolved(&[
            (
                "book/src/a.md",
                "x\n{{#include b.md}}\n{{#include ../../secret.md}}\n{{#include nowhere.rs}}{{#include b.md:no}}",
            ),
            ("book/src/b.md", "B {{#include gone.md}}"),
            ("secret.md", "secret"),
        ])
        .unwrap();
        assert_eq!(text, "x\nB \n\n");
        let expected = [
            "src/b.md:1: gone.md is not there to be included",
            "src/a.md:3: ../../secret.md lies outside the book and is not included",
            "src/a.md:4: nowhere.rs is not there to be included",
            "src/a.md:4: b.md has no ANCHOR: no",
        ];
        assert_eq!(missing, expected);
    }

    #[test]
    fn a_circle_is_an_error_that_names_its_files() {
        let err = resolved(&[
            ("book/src/a.md", "\n{{#include b.md}}"),
            ("book/src/b.md", "{{#include a.md}}"),
        ]);
        let err = err.unwrap_err().to_string();
        assert!(err.contains("src/b.md:1") && err.contains("src/a.md includes"), "{err}");
        let err = resolved(&[("book/src/a.md", "{{#include a.md}}")]).unwrap_err();
        assert!(err.to_string().contains("src/a.md:1"), "{err}");
    }
}
