//! Writes a page's own text as Markdown, in the order in which it stands.

use super::{
    code::{code_text, language},
    content::Content,
    elements::is_block,
    inline::{Inline, anchor, inline, line_of, read_inline},
    table::Table,
    tree::{Id, Visit},
    words::{Place, Words, longest_run},
    writer::Writer,
};

/// The Markdown of `content`, and whether it has a heading of the first level.
pub(super) fn markdown(content: &Content<'_>) -> (String, bool) {
    let mut page = Page {
        content,
        writer: Writer::default(),
        words: Words::default(),
        code: 0,
        marks: Vec::new(),
        lists: Vec::new(),
        anchor: None,
        level: 0,
        has_heading: false,
    };
    let children = |id| content.tree.node(id).children.iter().rev();
    // The root itself is no part of the text, and may be no element.
    let mut steps: Vec<_> = children(content.root).map(|id| Visit::Enter(*id)).collect();
    while let Some(step) = steps.pop() {
        match step {
            Visit::Enter(id) if content.is_dropped(id) => {}
            Visit::Enter(id) => {
                if page.enter(id) {
                    steps.push(Visit::Leave(id));
                    steps.extend(children(id).map(|id| Visit::Enter(*id)));
                }
            }
            Visit::Leave(id) => page.leave(id),
        }
    }
    page.flush();
    (page.writer.finish(), page.has_heading)
}

struct Page<'a> {
    content: &'a Content<'a>,
    writer: Writer,
    /// The text that is being read.
    words: Words,
    /// In how many elements of code we are.
    code: usize,
    /// What to write after an element: its end of a quotation, for example.
    marks: Vec<(Id, &'static str)>,
    lists: Vec<List>,
    /// The last id before anything that can be seen: a heading without one takes it.
    anchor: Option<String>,
    /// The level of the last heading.
    level: usize,
    has_heading: bool,
}

struct List {
    kind: ListKind,
    is_tight: bool,
    /// Of the next item.
    number: u32,
    /// Whether the next item follows a line that it is not apart from.
    is_begun: bool,
    /// Whether a term's item is open, and whether it has its description.
    term: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListKind {
    Bullets,
    Numbers,
    /// Terms and their descriptions.
    Terms,
    /// The descriptions of a programme's parts: their terms are headings.
    Signatures,
}

impl Page<'_> {
    /// Says whether to look into the node and to [`Page::leave`] it.
    fn enter(&mut self, id: Id) -> bool {
        let tree = self.content.tree;
        let node = tree.node(id);
        if node.name.is_none() {
            self.words.push(&node.text, self.code > 0);
            return false;
        }
        let name = tree.name(id);
        if is_block(name) {
            self.flush();
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.heading(id, usize::from(name.as_bytes()[1] - b'0'));
                return false;
            }
            "div" | "p" | "span" if tree.attribute(id, "role") == Some("heading") => {
                let level =
                    tree.attribute(id, "aria-level").and_then(|it| it.parse().ok());
                self.flush();
                self.heading(id, level.unwrap_or(2).clamp(1, 6));
                return false;
            }
            "pre" | "xmp" | "listing" | "plaintext" => {
                self.flush();
                self.code_block(id);
                return false;
            }
            "table" => {
                if let Some(table) = Table::read(self.content, id) {
                    self.table(&table);
                    return false;
                }
            }
            _ => {}
        }
        if self.words.is_empty()
            && let Some(anchor) = anchor(self.content, id)
        {
            self.anchor = Some(anchor);
        }
        match name {
            "ul" | "menu" | "dir" => self.list(id, ListKind::Bullets),
            "ol" => self.list(id, ListKind::Numbers),
            "dl" => {
                let is_code = |id: Id| tree.classes(id).any(|class| class == "sig");
                let has_code = node.children.iter().any(|it| is_code(*it));
                let kind = if has_code { ListKind::Signatures } else { ListKind::Terms };
                self.list(id, kind);
            }
            "li" => self.item(),
            "dt" => return self.term(id),
            "dd" => self.description(),
            "blockquote" => self.writer.open("> ", "> "),
            _ => return self.enter_inline(id),
        }
        true
    }

    fn enter_inline(&mut self, id: Id) -> bool {
        match inline(self.content, id) {
            Inline::Words => true,
            Inline::Code => {
                self.code += 1;
                true
            }
            Inline::Break => {
                self.words.line_break();
                false
            }
            Inline::Text(text) => {
                self.words.push(&text, self.code > 0);
                false
            }
            Inline::Between(before, after) => {
                self.words.push(before, self.code > 0);
                self.marks.push((id, after));
                true
            }
        }
    }

    fn leave(&mut self, id: Id) {
        let name = self.content.tree.name(id);
        match name {
            "code" | "kbd" | "samp" | "tt" => self.code -= 1,
            "ul" | "menu" | "dir" | "ol" | "dl" => {
                self.flush();
                let list = self.lists.pop();
                if list.is_some_and(|list| list.term.is_some()) {
                    self.writer.close();
                }
            }
            "li" | "blockquote" => {
                self.flush();
                self.writer.close();
            }
            _ if is_block(name) => self.flush(),
            _ => {
                if let Some((_, after)) = self.marks.pop_if(|(of, _)| *of == id) {
                    self.words.push(after, self.code > 0);
                }
            }
        }
    }

    /// Ends the block of words that is open, if one is.
    fn flush(&mut self) {
        if !self.words.is_empty() {
            let lines = self.words.take(Place::Block);
            self.writer.block(&lines);
            self.anchor = None;
        }
    }

    fn heading(&mut self, id: Id, level: usize) {
        let (text, inner) = line_of(self.content, id, Place::Heading);
        let own = anchor(self.content, id).or(inner);
        if text.is_empty() {
            self.anchor = own.or(self.anchor.take());
            return;
        }
        let anchor = own.or(self.anchor.take());
        let anchor = anchor.map(|it| format!(" {{#{it}}}")).unwrap_or_default();
        self.writer.block(&format!("{} {text}{anchor}", "#".repeat(level)));
        self.anchor = None;
        self.level = level;
        self.has_heading |= level == 1;
    }

    fn table(&mut self, table: &Table) {
        if let Some(caption) = table.caption() {
            let mut words = Words::default();
            read_inline(self.content, caption, &mut words);
            if !words.is_empty() {
                self.writer.block(&words.take(Place::Block));
            }
        }
        let cell = |id: Id| line_of(self.content, id, Place::Cell).0;
        self.writer.block(&table.markdown(self.content, cell));
        self.anchor = None;
    }

    fn code_block(&mut self, id: Id) {
        let code = code_text(self.content, id);
        if code.trim().is_empty() {
            return;
        }
        let marks = "`".repeat(longest_run(&code, '`').max(2) + 1);
        let language = language(self.content, id);
        self.writer.block(&format!("{marks}{language}\n{code}\n{marks}"));
        self.anchor = None;
    }

    fn list(&mut self, id: Id, kind: ListKind) {
        let content = self.content;
        let start = content.tree.attribute(id, "start");
        let number = start.and_then(|it| it.trim().parse().ok()).unwrap_or(1);
        let is_tight = !content.has_blocks(id)
            || kind == ListKind::Terms
                && !content.tree.node(id).children.iter().any(|it| {
                    content
                        .tree
                        .node(*it)
                        .children
                        .iter()
                        .any(|it| content.has_blocks(*it))
                });
        // A list right under the words of an item stays with them, unless its number could
        // be taken for those words.
        let is_inner = self.lists.last().is_some_and(|list| list.is_tight);
        let joins_words = is_inner && (kind != ListKind::Numbers || number == 1);
        self.lists.push(List {
            kind,
            is_tight: is_tight && kind != ListKind::Signatures,
            number: number.min(900_000_000),
            is_begun: joins_words,
            term: None,
        });
    }

    fn item(&mut self) {
        let Some(list) = self.lists.last_mut() else {
            return self.writer.open("- ", "  ");
        };
        let bullet = match list.kind {
            ListKind::Numbers => format!("{}. ", list.number),
            _ => "- ".to_owned(),
        };
        list.number += 1;
        if std::mem::replace(&mut list.is_begun, true) && list.is_tight {
            self.writer.tighten();
        }
        self.writer.open(&bullet, &" ".repeat(bullet.len()));
    }

    /// A term begins an item, unless it is one more name for the same description.
    fn term(&mut self, id: Id) -> bool {
        let Some(list) = self.lists.last_mut() else { return true };
        match list.kind {
            ListKind::Signatures => {
                self.heading(id, (self.level + 1).min(6));
                return false;
            }
            ListKind::Terms if list.term != Some(false) => {
                if list.term.replace(false).is_some() {
                    self.writer.close();
                }
                self.item();
            }
            ListKind::Terms => self.writer.tighten(),
            _ => {}
        }
        true
    }

    fn description(&mut self) {
        let Some(list) = self.lists.last_mut() else { return };
        if list.kind == ListKind::Terms {
            match list.term.replace(true) {
                None => self.item(),
                Some(_) => self.anchor = None,
            }
        }
    }
}
