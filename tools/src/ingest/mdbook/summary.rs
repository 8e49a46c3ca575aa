//! `SUMMARY.md`: the chapters of a book, their order and their names.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::super::html::site::decoded;

/// One entry of the contents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chapter {
    /// What it is called there.
    pub title: String,
    /// Its file, relative to the folder of pages; a draft has none.
    pub path: Option<String>,
    /// The chapters above it, outermost first.
    pub parents: Vec<String>,
    /// Where it stands, from 1.
    pub line: usize,
}

/// Every link of the contents, in order. Headings name parts, which mdBook shows only there.
pub(super) fn read(source: &str) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    // The chapter that each open list item has named.
    let mut items: Vec<Option<String>> = Vec::new();
    let mut open: Option<Chapter> = None;
    let mut is_heading = false;
    let mut counted = (0, 1);
    for (event, range) in Parser::new(source).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) => is_heading = true,
            Event::End(TagEnd::Heading(_)) => is_heading = false,
            Event::Start(Tag::Item) => items.push(None),
            Event::End(TagEnd::Item) => drop(items.pop()),
            Event::Start(Tag::Link { dest_url, .. }) if !is_heading => {
                let path = dest_url.trim().trim_start_matches("./");
                // `%20` and its like are allowed in the links of the contents.
                let path = decoded(path).unwrap_or_else(|| path.to_owned());
                open = Some(Chapter {
                    title: String::new(),
                    path: (!path.is_empty()).then_some(path),
                    parents: items.iter().flatten().cloned().collect(),
                    line: line_at(source, &mut counted, range.start),
                });
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some(chapter) = &mut open {
                    chapter.title.push_str(&words);
                }
            }
            Event::End(TagEnd::Link) => {
                let Some(chapter) = open.take() else { continue };
                if let Some(item) = items.last_mut() {
                    *item = Some(chapter.title.clone());
                }
                chapters.push(chapter);
            }
            _ => {}
        }
    }
    chapters
}

/// The line of a byte, counted from where the last one was.
fn line_at(source: &str, (from, line): &mut (usize, usize), at: usize) -> usize {
    *line += source[*from..at].matches('\n').count();
    *from = at;
    *line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_keep_their_order_their_names_and_their_parents() {
        let source = "# Summary\n\n[Welcome](README.md)\n\n# Part\n\n- [Trees](./trees.md)\n  \
                      - [`Oak`s](trees/oak%20tree.md)\n  - [Elm]()\n- [Soil](soil.md)\n\n---\n\n\
                      [End](end.md)\n";
        let read: Vec<_> = read(source)
            .into_iter()
            .map(|it| {
                (it.line, it.parents.join("/"), it.title, it.path.unwrap_or_default())
            })
            .collect();
        let line = |line: usize, parents: &str, title: &str, path: &str| {
            (line, parents.to_owned(), title.to_owned(), path.to_owned())
        };
        let expected = [
            line(3, "", "Welcome", "README.md"),
            line(7, "", "Trees", "trees.md"),
            line(8, "Trees", "Oaks", "trees/oak tree.md"),
            line(9, "Trees", "Elm", ""),
            line(10, "", "Soil", "soil.md"),
            line(14, "", "End", "end.md"),
        ];
        assert_eq!(read, expected);
    }
}
