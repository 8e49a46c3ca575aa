//! A page's sections: a heading and what stands under it, with its anchor and breadcrumb.

use super::{
    anchors::Anchors,
    front::Front,
    markdown::{Block, Kind},
    position::Positions,
    split::{LIMIT, SMALL},
};

/// A heading and what stands under it, up to the next heading.
#[derive(Debug)]
pub struct Section {
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
pub fn read(
    path: &str,
    front: &Front,
    blocks: Vec<Block>,
    at: &Positions<'_>,
) -> Vec<Section> {
    let mut anchors = Anchors::default();
    let page = page_title(path, front, &blocks);
    let mut crumbs: Vec<(u8, String)> = Vec::new();
    let mut sections: Vec<Section> = Vec::new();
    for block in blocks {
        match &block.kind {
            Kind::Heading { level, text, id } => {
                let (level, text) = (*level, one_line(text));
                let anchor = anchors.next(&text, id.as_deref());
                crumbs.retain(|(outer, _)| *outer < level);
                crumbs.push((level, text));
                let title = breadcrumb(&page, &crumbs);
                sections.push(Section { level, anchor, title, blocks: vec![block] });
            }
            _ => {
                claim_nested(&block, &mut anchors);
                match sections.last_mut() {
                    Some(section) => section.blocks.push(block),
                    None => sections.push(Section {
                        level: 0,
                        anchor: String::new(),
                        title: page.clone(),
                        blocks: vec![block],
                    }),
                }
            }
        }
    }
    join_small(sections, at)
}

/// The first heading of the first level, else the front matter's title, else the file's name.
fn page_title(path: &str, front: &Front, blocks: &[Block]) -> String {
    let heading = blocks.iter().find_map(|block| match &block.kind {
        Kind::Heading { level: 1, text, .. } => Some(one_line(text)),
        _ => None,
    });
    heading
        .filter(|text| !text.is_empty())
        .or_else(|| front.title.as_deref().map(one_line))
        .unwrap_or_else(|| file_title(path))
}

/// The name of the file without its folders and its ending: `ch04/my_notes.txt` → `my notes`.
fn file_title(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    one_line(&stem.replace(['_', '-'], " "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The page, then the headings from the outermost in; a name that repeats is said once.
fn breadcrumb(page: &str, crumbs: &[(u8, String)]) -> String {
    let mut names = vec![page];
    for (_, name) in crumbs {
        if !name.is_empty() && names.last() != Some(&name.as_str()) {
            names.push(name);
        }
    }
    names.join(" > ")
}

/// Headings in quotations and lists begin no section, but renderers count their anchors.
fn claim_nested(block: &Block, anchors: &mut Anchors) {
    for child in &block.children {
        if let Kind::Heading { text, id, .. } = &child.kind {
            anchors.next(&one_line(text), id.as_deref());
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
        let is_bare =
            before.blocks.iter().all(|it| matches!(it.kind, Kind::Heading { .. }));
        if is_bare {
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
