//! Builds the tree of a page from its tags, ends that are left out included.

use std::{cell::RefCell, collections::HashMap};

use html5ever::{
    LocalName,
    buffer_queue::BufferQueue,
    tendril::StrTendril,
    tokenizer::{
        Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
    },
};

use super::{
    elements::{is_barrier, is_block, is_of_head, is_of_table, is_void, raw_kind},
    tree::{Id, Node, ROOT, Syntax},
};

/// How many open elements are looked through for the one that a tag closes. No page that
/// somebody wrote leaves more open.
const REACH: usize = 512;

/// More attributes than this on one tag are cut off: the tokenizer compares each with all
/// before it.
pub(super) const MOST_ATTRIBUTES: usize = 1_000;

/// The nodes of `source` in document order, the root first.
pub(super) fn nodes(source: &str, syntax: Syntax) -> Vec<Node> {
    let sink = Builder { state: RefCell::new(State::new(syntax)) };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(tamed(source).as_str()));
    // The sink never asks for a script to be run, so one call takes everything.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.state.into_inner().nodes
}

/// Takes the tokens.
struct Builder {
    state: RefCell<State>,
}

struct State {
    syntax: Syntax,
    nodes: Vec<Node>,
    open: Vec<Id>,
    /// How many elements of each name are open.
    counts: HashMap<LocalName, usize>,
}

impl TokenSink for Builder {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => state.start(tag),
            Token::TagToken(tag) => {
                state.end(&tag.name);
                TokenSinkResult::Continue
            }
            Token::CharacterTokens(text) => {
                state.text(&text);
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        let state = self.state.borrow();
        state.syntax == Syntax::Xml || state.is_foreign()
    }
}

impl State {
    fn new(syntax: Syntax) -> Self {
        let root = Node {
            name: None,
            attributes: Vec::new(),
            text: String::new(),
            parent: ROOT,
            children: Vec::new(),
        };
        Self { syntax, nodes: vec![root], open: vec![ROOT], counts: HashMap::new() }
    }

    fn is_foreign(&self) -> bool {
        let is_open = |name: &str| {
            self.counts.get(&LocalName::from(name)).is_some_and(|count| *count > 0)
        };
        is_open("svg") || is_open("math")
    }

    fn top(&self) -> Id {
        *self.open.last().expect("the root is never closed")
    }

    fn name(&self, id: Id) -> &str {
        self.nodes[id].name.as_deref().unwrap_or_default()
    }

    fn text(&mut self, text: &str) {
        if self.syntax != Syntax::Xml
            && self.name(self.top()) == "head"
            && !text.trim().is_empty()
        {
            self.pop();
        }
        let top = self.top();
        if let Some(last) = self.nodes[top].children.last().copied()
            && self.nodes[last].name.is_none()
        {
            self.nodes[last].text.push_str(text);
            return;
        }
        self.add(Node {
            name: None,
            attributes: Vec::new(),
            text: text.to_owned(),
            parent: top,
            children: Vec::new(),
        });
    }

    fn add(&mut self, node: Node) -> Id {
        let id = self.nodes.len();
        self.nodes[node.parent].children.push(id);
        self.nodes.push(node);
        id
    }

    fn start(&mut self, tag: Tag) -> TokenSinkResult<()> {
        let is_xml = self.syntax == Syntax::Xml;
        if !is_xml {
            if matches!(&*tag.name, "html" | "body")
                && self.counts.get(&tag.name).is_some_and(|count| *count > 0)
            {
                return TokenSinkResult::Continue;
            }
            self.imply_ends(&tag.name);
        }
        let closes_itself =
            tag.self_closing && (self.syntax != Syntax::Html || self.is_foreign());
        let is_void = closes_itself || !is_xml && is_void(&tag.name);
        let raw = if is_xml || is_void { None } else { raw_kind(&tag.name) };
        let attributes =
            tag.attrs.into_iter().map(|it| (it.name.local, it.value)).collect();
        let parent = self.top();
        let name = tag.name.clone();
        let id = self.add(Node {
            name: Some(tag.name),
            attributes,
            text: String::new(),
            parent,
            children: Vec::new(),
        });
        if !is_void {
            *self.counts.entry(name.clone()).or_default() += 1;
            self.open.push(id);
        }
        match raw {
            Some(kind) => TokenSinkResult::RawData(kind),
            None if !is_xml && &*name == "plaintext" => TokenSinkResult::Plaintext,
            None => TokenSinkResult::Continue,
        }
    }

    fn end(&mut self, name: &LocalName) {
        let is_xml = self.syntax == Syntax::Xml;
        if !is_xml && matches!(&**name, "html" | "body")
            || self.counts.get(name).is_none_or(|count| *count == 0)
        {
            return;
        }
        let is_inline = !is_xml && !is_block(name);
        let mut holds_block = false;
        for at in (1..self.open.len()).rev().take(REACH) {
            let open = self.name(self.open[at]);
            if open == &**name {
                if is_inline && holds_block {
                    // `<b><p>…</b>`: the paragraph goes on.
                    self.open.remove(at);
                    self.forget(name);
                } else {
                    self.close_to(at);
                }
                return;
            }
            if !is_xml && is_barrier(open) && !is_of_table(name) {
                return;
            }
            holds_block |= is_block(open);
        }
    }

    /// Closes what a start tag closes by itself.
    fn imply_ends(&mut self, name: &str) {
        if self.name(self.top()) == "head" && !is_of_head(name) {
            self.pop();
        }
        match name {
            "li" => self.close(&["li"], &["ul", "ol", "menu", "dir"]),
            "dt" | "dd" => self.close(&["dt", "dd"], &["dl"]),
            "td" | "th" => self.close(&["td", "th"], &["tr", "table"]),
            "tr" => self.close(&["tr", "caption", "colgroup"], &["table"]),
            "tbody" | "thead" | "tfoot" => self
                .close(&["tbody", "thead", "tfoot", "caption", "colgroup"], &["table"]),
            "option" | "optgroup" => self.close(&["option"], &["select", "datalist"]),
            "rt" | "rp" => self.close(&["rt", "rp"], &["ruby"]),
            _ => {}
        }
        if is_block(name) {
            self.close_paragraph();
        }
    }

    /// Closes the innermost of `targets` unless one of `stops` or a table's cell is nearer.
    fn close(&mut self, targets: &[&str], stops: &[&str]) {
        for at in (1..self.open.len()).rev().take(REACH) {
            let open = self.name(self.open[at]);
            if targets.contains(&open) {
                return self.close_to(at);
            }
            if stops.contains(&open)
                || is_barrier(open) && !targets.iter().any(|it| is_of_table(it))
            {
                return;
            }
        }
    }

    /// A block begins, so the paragraph that is open, if one is, ends.
    fn close_paragraph(&mut self) {
        for at in (1..self.open.len()).rev().take(REACH) {
            let open = self.name(self.open[at]);
            if open == "p" {
                return self.close_to(at);
            }
            if is_block(open) {
                return;
            }
        }
    }

    fn close_to(&mut self, at: usize) {
        while self.open.len() > at {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(id) = self.open.pop()
            && let Some(name) = self.nodes[id].name.clone()
        {
            self.forget(&name);
        }
    }

    fn forget(&mut self, name: &LocalName) {
        if let Some(count) = self.counts.get_mut(name) {
            *count -= 1;
        }
    }
}

/// `source` without what a tag has after [`MOST_ATTRIBUTES`]. The start of a tag that never
/// ends is found again at every `<`, so no byte is looked at more than twice.
fn tamed(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut kept = String::with_capacity(source.len());
    let (mut from, mut at) = (0, 0);
    while let Some(found) = source[at..].find('<') {
        at += found + 1;
        if !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let (mut words, mut quote, mut before) = (0, None, b' ');
        let mut cut = None;
        while let Some(&byte) = bytes.get(at) {
            match quote {
                Some(mark) => quote = (byte != mark).then_some(mark),
                None if matches!(byte, b'>' | b'<') => break,
                None if matches!(byte, b'"' | b'\'') && before == b'=' => {
                    quote = Some(byte);
                }
                None if byte.is_ascii_whitespace() || byte == b'/' => words += 1,
                None => {}
            }
            if words > MOST_ATTRIBUTES && cut.is_none() {
                cut = Some(at);
            }
            if !byte.is_ascii_whitespace() {
                before = byte;
            }
            at += 1;
        }
        if let Some(cut) = cut {
            kept.push_str(&source[from..cut]);
            from = at;
        }
    }
    kept.push_str(&source[from..]);
    kept
}
