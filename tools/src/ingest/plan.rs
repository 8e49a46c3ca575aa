//! What a book becomes: its passages with their ids, and the version that they make.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};
use shared::{
    Result,
    retrieval::{Passage, tokens},
};
use uuid::Uuid;

use super::{
    front::{self, Front},
    markdown::{self, Block, Kind},
    position::Positions,
    read::{Format, Page},
    sections, split,
};

/// The namespace of chunk ids, made once at random.
const NAMESPACE: Uuid = Uuid::from_u128(0x8b1f_6a0e_52c7_4d39_9e84_1d70_c3a5_f62b);

/// Raise it when the same passages would make another index (weights, payload).
const INDEX: u32 = 1;

/// The passages of all pages, in order. `source` is the label of this ingest and, in the
/// ids, the name of the book.
pub fn passages(pages: &[Page], source: &str) -> Vec<Passage> {
    pages.iter().flat_map(|page| page_passages(page, source)).collect()
}

fn page_passages(page: &Page, source: &str) -> Vec<Passage> {
    let text = page.source.as_str();
    let (front, blocks) = match page.format {
        Format::Markdown => {
            let front = front::read(text);
            let blocks = markdown::blocks(text, front.len);
            (front, blocks)
        }
        Format::Plain => (Front::default(), paragraphs(text)),
    };
    let at = Positions::new(text);
    let mut copies: HashMap<Uuid, u32> = HashMap::new();
    let mut passages = Vec::new();
    for section in sections::read(&page.path, &front, blocks, &at) {
        for piece in split::pieces(text, &section.blocks, &at) {
            let words = piece.text(text);
            let first = chunk_id(source, &page.path, &section.anchor, &words, 0);
            let copy = copies.entry(first).and_modify(|it| *it += 1).or_default();
            passages.push(Passage {
                id: chunk_id(source, &page.path, &section.anchor, &words, *copy),
                path: page.path.clone(),
                link: link(&page.path, &section.anchor),
                anchor: section.anchor.clone(),
                title: section.title.clone(),
                text: words,
                source: source.to_owned(),
                start: at.at(piece.range.start) as u32,
                end: at.at(piece.range.end) as u32,
                lead: piece.lead.chars().count() as u32,
            });
        }
    }
    passages
}

/// `UUIDv5` of (book, path, anchor, text hash, copy number). No part but the path may hold a
/// line break, and a path with one still cannot be taken for another.
fn chunk_id(book: &str, path: &str, anchor: &str, text: &str, copy: u32) -> Uuid {
    let hash = hex(&Sha256::digest(text), 32);
    let name = format!("{book}\n{path}\n{anchor}\n{hash}\n{copy}");
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// Plain text: paragraphs between blank lines.
fn paragraphs(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut start = 0;
    let mut is_open = false;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        if line.trim().is_empty() {
            is_open = false;
        } else if let Some(block) = blocks.last_mut().filter(|_| is_open) {
            block.range.end = range.end;
        } else {
            blocks.push(Block { kind: Kind::Prose, range, children: Vec::new() });
            is_open = true;
        }
    }
    blocks
}

/// The address relative to the book's. Letters of all scripts stay as they are (browsers
/// encode them); what would end or break an address, in Markdown too, is encoded.
fn link(path: &str, anchor: &str) -> String {
    let mut link = encoded(path);
    if !anchor.is_empty() {
        link.push('#');
        link.push_str(&encoded(anchor));
    }
    link
}

fn encoded(part: &str) -> String {
    part.chars().fold(String::new(), |mut link, c| {
        if c.is_ascii_alphanumeric() || "/-_.~!$&'*+,;=:@".contains(c) || !c.is_ascii() {
            link.push(c);
        } else {
            link.push_str(&format!("%{:02X}", c as u32));
        }
        link
    })
}

/// 16 hexadecimal digits of the hash of everything that makes the index.
pub fn version(
    passages: &[Passage],
    language: &str,
    model: Option<&str>,
) -> Result<String> {
    let all = (INDEX, tokens::VERSION, language, model, passages);
    let bytes = serde_json::to_vec(&all)
        .map_err(|err| shared::Error::Internal(format!("passages to JSON: {err}")))?;
    Ok(hex(&Sha256::digest(bytes), 8))
}

fn hex(bytes: &[u8], take: usize) -> String {
    bytes.iter().take(take).map(|byte| format!("{byte:02x}")).collect()
}

/// How one page differs from the book that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageChange {
    /// The page.
    pub path: String,
    /// Passages that are new.
    pub added: usize,
    /// Passages that go.
    pub removed: usize,
    /// Passages that stay.
    pub kept: usize,
}

/// The pages that change, by path.
pub fn changes(old: &[Passage], new: &[Passage]) -> Vec<PageChange> {
    let before: HashSet<Uuid> = old.iter().map(|it| it.id).collect();
    let after: HashSet<Uuid> = new.iter().map(|it| it.id).collect();
    let mut pages: BTreeMap<&str, PageChange> = BTreeMap::new();
    let change =
        |path: &str| PageChange { path: path.to_owned(), added: 0, removed: 0, kept: 0 };
    for it in new {
        let page = pages.entry(&it.path).or_insert_with(|| change(&it.path));
        *if before.contains(&it.id) { &mut page.kept } else { &mut page.added } += 1;
    }
    for it in old.iter().filter(|it| !after.contains(&it.id)) {
        pages.entry(&it.path).or_insert_with(|| change(&it.path)).removed += 1;
    }
    pages.retain(|_, it| it.added + it.removed > 0);
    pages.into_values().collect()
}
