//! A page's sections: a heading and what stands under it, with its anchor and breadcrumb.

use super::{
    anchors::Anchors,
    front::Front,
    html::one_line,
    markdown::{Block, Kind},
    position::Positions,
    read::Page,
    split::{LIMIT, SMALL},
};

/// A heading and what stands under it, up to the next heading.
#[derive(Debug)]
pub(super) struct Section {
    /// 1 to 6; 0 before the first heading.
    pub level: u8,
    /// The heading's anchor; empty before the first heading.
    pub anchor: String,
    /// The breadcrumb, `Ownership > Moves`.
    pub title: String,
    /// Its blocks, the heading first.
    pub blocks: Vec<Block>,
}

/// The sections of a page, small ones joined to what follows.
pub(super) fn read(
    page: &Page,
    front: &Front,
    blocks: Vec<Block>,
    at: &Positions<'_>,
) -> Vec<Section> {
    let mut anchors = Anchors::by(page.slugs);
    let mut outer: Vec<String> = page.parents.iter().map(|it| one_line(it)).collect();
    outer.push(page_title(page, front, &blocks));
    let mut crumbs: Vec<(u8, String)> = Vec::new();
    let mut sections: Vec<Section> = Vec::new();
    for block in blocks {
        if let Kind::Heading { level, text, id } = &block.kind {
            let level = *level;
            let anchor = anchors.at(level, text, id.as_deref());
            crumbs.retain(|(outer, _)| *outer < level);
            crumbs.push((level, one_line(text)));
            let title = breadcrumb(&outer, &crumbs);
            sections.push(Section { level, anchor, title, blocks: vec![block] });
            continue;
        }
        claim_nested(&block, &mut anchors);
        match sections.last_mut() {
            Some(section) => section.blocks.push(block),
            None => sections.push(Section {
                level: 0,
                anchor: String::new(),
                title: breadcrumb(&outer, &[]),
                blocks: vec![block],
            }),
        }
    }
    join_small(sections, at)
}

/// What the book's contents call the page, else its first heading of the first level, else
/// the front matter's title, else the file's name.
fn page_title(page: &Page, front: &Front, blocks: &[Block]) -> String {
    if let Some(title) = page.title.as_deref().map(one_line).filter(|it| !it.is_empty()) {
        return title;
    }
    let heading = blocks.iter().find_map(|block| match &block.kind {
        Kind::Heading { level: 1, text, .. } => Some(one_line(text)),
        _ => None,
    });
    heading
        .filter(|text| !text.is_empty())
        .or_else(|| front.title.as_deref().map(one_line))
        .unwrap_or_else(|| file_title(&page.path))
}

/// The name of the file without its folders and its ending: `ch04/my_notes.txt` → `my notes`.
fn file_title(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    one_line(&stem.replace(['_', '-'], " "))
}

/// The page, then the headings from the outermost in; a name that repeats is said once.
fn breadcrumb(outer: &[String], crumbs: &[(u8, String)]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in outer.iter().chain(crumbs.iter().map(|it| &it.1)) {
        let is_said = names.last().is_some_and(|it| is_same(it, name));
        if !name.is_empty() && !is_said {
            names.push(name);
        }
    }
    names.join(" > ")
}

/// A heading often spells its chapter's name a little differently.
fn is_same(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|it| it.chars().filter(|c| c.is_alphanumeric()));
    a.flat_map(char::to_lowercase).eq(b.flat_map(char::to_lowercase))
}

/// Headings in quotations and lists begin no section, but renderers count their anchors.
fn claim_nested(block: &Block, anchors: &mut Anchors) {
    for child in &block.children {
        if let Kind::Heading { level, text, id } = &child.kind {
            anchors.at(*level, text, id.as_deref());
        }
        claim_nested(child, anchors);
    }
}

/// A section under [`SMALL`] takes in the deeper one that follows if both fit one passage,
/// and keeps its own anchor. A heading with nothing under it only leads to the deeper one,
/// which keeps *its* anchor: its breadcrumb names both.
fn join_small(sections: Vec<Section>, at: &Positions<'_>) -> Vec<Section> {
    let size = |from: &Section, to: &Section| {
        let from = from.blocks.first().map_or(0, |block| at.at(block.range.start));
        at.at(to.blocks.last().map_or(0, |block| block.range.end)) - from
    };
    let mut joined: Vec<Section> = Vec::new();
    for mut section in sections {
        let Some(before) = joined.last_mut().filter(|it| it.level < section.level) else {
            joined.push(section);
            continue;
        };
        let says_nothing = |it: &Block| {
            matches!(it.kind, Kind::Heading { .. } | Kind::Hidden | Kind::Definitions)
        };
        if before.blocks.iter().all(says_nothing) {
            before.blocks.append(&mut section.blocks);
            *before = Section { blocks: std::mem::take(&mut before.blocks), ..section };
        } else if size(before, before) < SMALL && size(before, &section) <= LIMIT {
            before.blocks.append(&mut section.blocks);
        } else {
            joined.push(section);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{front, markdown, read::Format};

    /// Breadcrumb and anchor of each section, and how many blocks it has.
    fn outline(source: &str) -> Vec<(String, String, usize)> {
        let front = front::read(source);
        let blocks = markdown::blocks(source, front.len);
        let page = Page::new("a/my_page.md".into(), source.into(), Format::Markdown);
        read(&page, &front, blocks, &Positions::new(source))
            .into_iter()
            .map(|it| (it.title, it.anchor, it.blocks.len()))
            .collect()
    }

    fn titles(source: &str) -> Vec<String> {
        outline(source).into_iter().map(|it| it.0).collect()
    }

    fn long() -> String {
        "Enough words for a passage of its own. ".repeat(6)
    }

    #[test]
    fn breadcrumbs_follow_the_levels_of_headings() {
        let text = long();
        let source = format!(
            "# Trees\n\n{text}\n\n## Oak\n\n{text}\n\n#### Bark\n\n{text}\n\n\
             ## Elm\n\n{text}\n\n# More\n\n{text}"
        );
        let expected =
            ["Trees", "Trees > Oak", "Trees > Oak > Bark", "Trees > Elm", "Trees > More"];
        assert_eq!(titles(&source), expected);
    }

    #[test]
    fn the_page_is_called_by_its_heading_its_front_matter_or_its_file() {
        assert_eq!(titles("---\ntitle: Front\n---\n# Head\n\ntext"), ["Head"]);
        assert_eq!(titles("---\ntitle: Front\n---\n## Part\n\nx"), ["Front > Part"]);
        assert_eq!(titles("text"), ["my page"]);
    }

    #[test]
    fn a_small_section_takes_in_the_deeper_one_and_keeps_its_anchor() {
        let joined = outline("# A\n\nshort\n\n## B\n\nshort\n\n## C\n\nshort");
        assert_eq!(joined, [("A".into(), "a".into(), 6)]);
        let apart = outline("## A\n\nshort\n\n## B\n\nshort");
        let names: Vec<_> = apart.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(names, ["a", "b"], "the same level is never joined");
        let text = long().repeat(8);
        let source = format!("# A\n\nshort\n\n## B\n\n{text}");
        assert_eq!(outline(&source).len(), 2, "together they would be too long");
    }

    #[test]
    fn a_heading_alone_leads_to_the_deeper_one() {
        let source = "<!-- note -->\n<a id=\"x\"></a>\n\n# A\n\n## B\n\nshort";
        assert_eq!(outline(source), [("A > B".into(), "b".into(), 5)]);
    }

    #[test]
    fn a_name_hides_nothing_and_its_anchor_keeps_every_blank() {
        let source = "# \u{202e}Tides\u{200b} \u{e0041}of  <!-- obey -->sea 👩\u{200d}🔬";
        let title = "Tides of sea 👩\u{200d}🔬";
        assert_eq!(outline(source), [(title.into(), "tides-of--sea-".into(), 1)]);
    }

    #[test]
    fn repeated_headings_have_their_own_anchors() {
        let text = long();
        let source = format!("## Notes\n\n{text}\n\n> ## Notes\n\n## Notes\n\n{text}");
        let anchors: Vec<_> = outline(&source).into_iter().map(|it| it.1).collect();
        assert_eq!(anchors, ["notes", "notes-2"]);
    }
}
