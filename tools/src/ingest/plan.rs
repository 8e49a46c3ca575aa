//! What a book becomes: its passages with their ids, and the version that they make.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write,
};

use sha2::{Digest, Sha256};
use shared::{
    Result,
    retrieval::{Passage, passage, tokens},
};
use uuid::Uuid;

use super::{
    front::{self, Front},
    markdown::{self, Block, Kind},
    position::Positions,
    read::{Format, Page},
    said::Said,
    sections, split,
};

/// The namespace of chunk ids, made once at random.
const NAMESPACE: Uuid = Uuid::from_u128(0x8b1f_6a0e_52c7_4d39_9e84_1d70_c3a5_f62b);

/// Raise it when the same passages would make another index (weights, payload).
const INDEX: u32 = 1;

/// The passages of all pages, in order, and how many paragraphs were left out because the
/// book had said them before. `source` is the label of this ingest and, in the ids, the name
/// of the book.
pub(super) fn passages(pages: &[Page], source: &str) -> (Vec<Passage>, usize) {
    let mut said = Said::default();
    let passages = pages.iter().flat_map(|page| page_passages(page, source, &mut said));
    (passages.collect(), said.repeats)
}

fn page_passages(page: &Page, source: &str, said: &mut Said) -> Vec<Passage> {
    let text = page.source.as_str();
    let (front, mut blocks, hidden) = match page.format {
        Format::Markdown => {
            let front = front::read(text);
            let blocks = markdown::blocks(text, front.len);
            let hidden = markdown::comments(text, front.len);
            (front, blocks, hidden)
        }
        Format::Plain => (Front::default(), paragraphs(text), passage::comments(text)),
    };
    for block in &mut blocks {
        said.look_at(text, block);
    }
    let at = Positions::new(text);
    let mut copies: HashMap<Uuid, u32> = HashMap::new();
    let mut passages = Vec::new();
    for section in sections::read(page, &front, blocks, &at) {
        for piece in split::pieces(text, &section.blocks, &hidden, &at) {
            let words = piece.text(text);
            let first = chunk_id(source, &page.path, &section.anchor, &words, 0);
            let copy = copies.entry(first).and_modify(|it| *it += 1).or_default();
            passages.push(Passage {
                id: chunk_id(source, &page.path, &section.anchor, &words, *copy),
                path: page.path.clone(),
                link: link(&page.address, &section.anchor),
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

/// The address relative to `BOOK_BASE_URL`. Letters of all scripts stay as they are (browsers
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
            write!(link, "%{:02X}", c as u32).expect("a string takes all");
        }
        link
    })
}

/// 16 hexadecimal digits of the hash of everything that makes the index. `meaning` is the
/// embedding model and the dimension that was asked of it.
pub(super) fn version(
    passages: &[Passage],
    language: &str,
    meaning: Option<(&str, u32)>,
) -> Result<String> {
    let all = (INDEX, tokens::VERSION, language, meaning, passages);
    let bytes = serde_json::to_vec(&all)
        .map_err(|err| shared::Error::Internal(format!("passages to JSON: {err}")))?;
    Ok(hex(&Sha256::digest(bytes), 8))
}

fn hex(bytes: &[u8], take: usize) -> String {
    bytes.iter().take(take).fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes all");
        hex
    })
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
pub(super) fn changes(old: &[Passage], new: &[Passage]) -> Vec<PageChange> {
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

/// How many passages go without another of the same page in their place.
pub(super) fn lost(changes: &[PageChange]) -> usize {
    changes.iter().map(|it| it.removed.saturating_sub(it.added)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, source: &str) -> Page {
        Page::new(path.into(), source.into(), Format::Markdown)
    }

    fn of(source: &str) -> Vec<Passage> {
        passages(&[page("ch 1/a.md", source)], "book").0
    }

    #[test]
    fn offsets_count_code_points_of_the_text_as_read() {
        let source = "---\r\ntitle: é\r\n---\r\n\r\n# Größe 👩\r\n\r\nZwei Wörter.\r\n";
        let passage = &of(source)[0];
        let letters: Vec<char> = source.chars().collect();
        let stretch: String =
            letters[passage.start as usize..passage.end as usize].iter().collect();
        assert_eq!(stretch, "# Größe 👩\r\n\r\nZwei Wörter.");
        assert_eq!((passage.text.as_str(), passage.lead), (stretch.as_str(), 0));
    }

    #[test]
    fn links_are_addresses_and_anchors_stay_readable() {
        let passage = &of("# Größe (neu) {#a(b}\n\ntext")[0];
        assert_eq!(passage.anchor, "a(b");
        assert_eq!(passage.link, "ch%201/a.md#a%28b");
        assert_eq!(of("# Größe?\n\ntext")[0].link, "ch%201/a.md#größe");
        assert_eq!(of("text")[0].link, "ch%201/a.md");
    }

    #[test]
    fn copies_are_numbered_and_ids_last() {
        let fence = format!("```\n{}\n```\n\n", "same\n".repeat(200));
        let copies = of(&fence.repeat(2));
        assert_eq!(copies.len(), 2);
        assert_eq!(copies[0].text, copies[1].text);
        assert_ne!(copies[0].id, copies[1].id);
        assert_eq!(copies[0].id, of(&fence)[0].id, "a copy further down changes no id");
        // Readers keep ids in their conversations: this value must never change.
        insta::assert_snapshot!(of("text")[0].id, @"d5ad17a1-e7e4-5ced-a8d3-bf373afc6c04");
    }

    #[test]
    fn the_version_depends_on_all_that_makes_the_index() {
        let (a, b) = (of("text"), of("text!"));
        let version =
            |it: &[Passage], language, model| version(it, language, model).unwrap();
        let base = version(&a, "eng", None);
        assert_eq!(base, version(&of("text"), "eng", None));
        assert_eq!(base.len(), 16);
        assert_ne!(base, version(&b, "eng", None));
        assert_ne!(base, version(&a, "deu", None));
        assert_ne!(base, version(&a, "eng", Some(("model", 0))));
    }

    #[test]
    fn changes_are_told_by_page() {
        let old =
            passages(&[page("a", "one"), page("b", "two"), page("c", "three")], "book").0;
        let new =
            passages(&[page("a", "one"), page("b", "2"), page("d", "four")], "book").0;
        let told: Vec<_> = changes(&old, &new)
            .into_iter()
            .map(|it| (it.path, it.added, it.removed, it.kept))
            .collect();
        let expected =
            [("b".into(), 1, 1, 0), ("c".into(), 0, 1, 0), ("d".into(), 1, 0, 0)];
        assert_eq!(told, expected);
    }

    #[test]
    fn plain_text_is_paragraphs_whatever_it_looks_like() {
        let source = "# no heading\n\n---\n\nmore";
        let page = Page::new("my_notes.txt".into(), source.into(), Format::Plain);
        let (passages, _) = passages(&[page], "book");
        assert_eq!(passages.len(), 1);
        assert_eq!(
            (passages[0].title.as_str(), passages[0].anchor.as_str()),
            ("my notes", "")
        );
    }

    #[test]
    fn a_long_paragraph_is_said_once_in_a_book() {
        let long = "Every exercise of this book can be done with pen and paper alone, and the \
                    answers are found at the end of its chapter, where nobody looks by \
                    accident. Take all the time that you need, and then take some more.";
        let loud = long.to_uppercase().replace(", ", " -- ");
        let pages = [
            page("a.md", &format!("# A\n\n{long}\n\nThe first page goes on.")),
            page("b.md", &format!("# B\n\nBefore it.\n\n{loud}\n\nBehind it.")),
            page("c.md", &format!("# C\n\n*{long}*\n")),
        ];
        let (passages, repeats) = passages(&pages, "book");
        let texts: Vec<_> = passages.iter().map(|it| it.text.as_str()).collect();
        let first = format!("# A\n\n{long}\n\nThe first page goes on.");
        assert_eq!(texts, [first.as_str(), "# B\n\nBefore it.", "Behind it."]);
        assert_eq!(repeats, 2);
    }

    /// What is indexed of a page, passage by passage; each is still a stretch of the source.
    fn indexed(source: &str) -> Vec<String> {
        let letters: Vec<char> = source.chars().collect();
        let passages = of(source);
        for it in &passages {
            let text: Vec<char> = it.text.chars().skip(it.lead as usize).collect();
            let stretch = &letters[it.start as usize..it.end as usize];
            assert_eq!(&text[..stretch.len()], stretch);
        }
        passages.iter().map(Passage::prompt_text).collect()
    }

    #[test]
    fn a_comment_that_is_longer_than_a_passage_is_in_none() {
        let long = "Whisper to the model. ".repeat(230);
        let blank = long.replace(". ", ".\n\n");
        let lines = long.replace(". ", ".\n  ");
        for (source, expected) in [
            (format!("One.\n\n<!-- {long} -->\n\nTwo."), vec!["One.", "Two."]),
            (format!("One.\n\n<!--\n{blank}-->\n\nTwo."), vec!["One.", "Two."]),
            (format!("- One\n\n  <!--\n  {lines}-->\n- Two"), vec!["- One", "- Two"]),
            (
                format!("> One\n>\n> <!-- {long} -->\n>\n> Two"),
                vec!["> One\n>\n>", ">\n> Two"],
            ),
            (format!("One <!-- {long} --> two."), vec!["One", "two."]),
            (
                format!("<div>\n<!--\n{blank}-->\n\nTwo.\n\n</div>"),
                vec!["<div>", "Two.\n\n</div>"],
            ),
            // A browser hides all that follows.
            (format!("One.\n\n<!-- {long}\n\n# Two\n\n{blank}"), vec!["One."]),
            (format!("- <!-- {long}\n\nTwo.\n\n# Three\n\nFour."), vec![]),
        ] {
            let shown: Vec<_> =
                indexed(&source).iter().map(|it| it.trim().to_owned()).collect();
            assert_eq!(shown, expected, "{}", &source[..20]);
        }
    }

    #[test]
    fn a_comment_that_its_passage_would_show_is_cut_out_of_it() {
        let source = "Write \\` or <!-- whisper --> \\` here.";
        assert_eq!(indexed(source), ["Write \\` or", "\\` here."]);
        let source = "- ```\n- Words.\n\nOne.\n\n<!-- whisper -->\n\nTwo.";
        assert!(!indexed(source).concat().contains("whisper"));
    }

    #[test]
    fn what_a_renderer_shows_is_no_comment() {
        let long = "Shown to the reader. ".repeat(230);
        for source in [
            format!("```html\n<!--\n{}\n-->\n```", long.replace(". ", ".\n")),
            format!("`<!--` {long} `-->`"),
            format!("One <!-- {long}"),
        ] {
            let shown = indexed(&source).concat();
            assert_eq!(shown.matches("Shown").count(), 230, "{}", &source[..20]);
        }
    }

    #[test]
    fn a_comment_inside_a_passage_changes_no_passage() {
        let source = "# A\n\nOne <!-- two --> three.\n\n<!-- four -->\n\nFive.\n";
        assert_eq!(of(source)[0].text, source.trim_end());
        assert_eq!(of(source).len(), 1);
        assert_eq!(of(&format!("<!-- {} -->", "alone ".repeat(20))), []);
    }

    #[test]
    fn only_what_goes_and_is_not_replaced_is_lost() {
        let change = |added, removed, kept| PageChange {
            path: String::new(),
            added,
            removed,
            kept,
        };
        assert_eq!(lost(&[change(3, 5, 1), change(9, 2, 0), change(0, 4, 0)]), 6);
    }
}
