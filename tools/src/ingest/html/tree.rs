//! The tree of a page of HTML, XHTML or XML.
//!
//! The tokens are html5ever's. The tree is ours, because theirs takes quadratic time on
//! nested tags and may copy formatting elements without end: here every tag costs a bounded
//! number of steps, nodes lie in one list in document order, and nothing is recursive.

use std::{cell::RefCell, collections::HashMap};

use html5ever::{
    LocalName,
    buffer_queue::BufferQueue,
    tendril::StrTendril,
    tokenizer::{
        Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
        states::RawKind,
    },
};

/// The place of a node in [`Tree::nodes`]. A parent's is smaller than its children's.
pub(in crate::ingest) type Id = usize;

/// The node above all others.
pub(in crate::ingest) const ROOT: Id = 0;

/// How many open elements are looked through for the one that a tag closes. No page that
/// somebody wrote leaves more open.
const REACH: usize = 512;

/// More attributes than this on one tag are cut off: the tokenizer compares each with all
/// before it.
const MOST_ATTRIBUTES: usize = 1_000;

/// By whose rules tags are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Syntax {
    /// HTML: void elements, implied ends, `/>` means nothing.
    Html,
    /// HTML in which `/>` closes.
    Xhtml,
    /// Only end tags and `/>` close, and `CDATA` is text.
    Xml,
}

/// An element or a text.
#[derive(Debug)]
pub(in crate::ingest) struct Node {
    /// The element's name in lower case; `None` for text.
    pub name: Option<LocalName>,
    /// The element's attributes, names in lower case.
    pub attributes: Vec<(LocalName, StrTendril)>,
    /// The text.
    pub text: String,
    /// What it is in.
    pub parent: Id,
    /// What is in it.
    pub children: Vec<Id>,
}

/// A page's nodes in document order.
#[derive(Debug)]
pub(in crate::ingest) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Reads `source`. Nothing is an error: as in a browser, every text is some page.
    pub(in crate::ingest) fn read(source: &str, syntax: Syntax) -> Self {
        let sink = Builder { state: RefCell::new(State::new(syntax)) };
        let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
        let input = BufferQueue::default();
        input.push_back(StrTendril::from(tamed(source).as_str()));
        // The sink never asks for a script to be run, so one call takes everything.
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        Self { nodes: tokenizer.sink.state.into_inner().nodes }
    }

    /// How many nodes there are.
    pub(in crate::ingest) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at `id`.
    pub(in crate::ingest) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The name of the element at `id`; empty for a text.
    pub(in crate::ingest) fn name(&self, id: Id) -> &str {
        self.nodes[id].name.as_deref().unwrap_or_default()
    }

    /// The value of an attribute.
    pub(in crate::ingest) fn attribute(&self, id: Id, name: &str) -> Option<&str> {
        let all = &self.nodes[id].attributes;
        all.iter().find(|(it, _)| &**it == name).map(|(_, value)| &**value)
    }

    /// Whether `name` is among the words of the attribute `class`.
    pub(in crate::ingest) fn classes(&self, id: Id) -> impl Iterator<Item = &str> {
        self.attribute(id, "class").unwrap_or_default().split_ascii_whitespace()
    }

    /// All elements, in document order.
    pub(in crate::ingest) fn elements(&self) -> impl Iterator<Item = Id> {
        (1..self.nodes.len()).filter(|id| self.nodes[*id].name.is_some())
    }

    /// All elements of one name, whatever their namespace's prefix.
    pub(in crate::ingest) fn named<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = Id> + 'a {
        self.elements().filter(move |id| {
            let full = self.name(*id);
            full.rsplit_once(':').map_or(full, |(_, local)| local) == name
        })
    }

    /// What is in `root`, in document order, without it; `enters` says whether to look into
    /// an element.
    pub(in crate::ingest) fn walk(
        &self,
        root: Id,
        mut enters: impl FnMut(Id) -> bool,
        mut visit: impl FnMut(Visit),
    ) {
        let mut steps: Vec<Visit> =
            self.nodes[root].children.iter().rev().map(|id| Visit::Enter(*id)).collect();
        while let Some(step) = steps.pop() {
            if let Visit::Enter(id) = step {
                if self.nodes[id].name.is_some() {
                    if !enters(id) {
                        continue;
                    }
                    steps.push(Visit::Leave(id));
                }
                steps.extend(
                    self.nodes[id].children.iter().rev().map(|it| Visit::Enter(*it)),
                );
            }
            visit(step);
        }
    }

    /// All text in `root`, as it is.
    pub(in crate::ingest) fn text(&self, root: Id) -> String {
        let mut text = String::new();
        self.walk(
            root,
            |_| true,
            |step| {
                if let Visit::Enter(id) = step {
                    text.push_str(&self.nodes[id].text);
                }
            },
        );
        text
    }
}

/// A step of a walk. Texts are only entered.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) enum Visit {
    /// Before what is in the node.
    Enter(Id),
    /// After it.
    Leave(Id),
}

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

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "frame"
            | "hr"
            | "image"
            | "img"
            | "input"
            | "keygen"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

fn raw_kind(name: &str) -> Option<RawKind> {
    match name {
        "title" | "textarea" => Some(RawKind::Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "script" => Some(RawKind::ScriptData),
        _ => None,
    }
}

fn is_of_head(name: &str) -> bool {
    matches!(
        name,
        "base" | "link" | "meta" | "title" | "style" | "script" | "noscript" | "template"
    )
}

/// End tags do not reach out of these.
fn is_barrier(name: &str) -> bool {
    matches!(name, "td" | "th" | "table" | "caption" | "template" | "object" | "svg")
}

fn is_of_table(name: &str) -> bool {
    matches!(
        name,
        "td" | "th"
            | "tr"
            | "tbody"
            | "thead"
            | "tfoot"
            | "table"
            | "caption"
            | "colgroup"
    ) || matches!(name, "template" | "object" | "svg")
}

/// Elements that begin on a line of their own.
pub(in crate::ingest) fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "dialog"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hgroup"
            | "hr"
            | "html"
            | "legend"
            | "li"
            | "listing"
            | "main"
            | "menu"
            | "nav"
            | "ol"
            | "p"
            | "plaintext"
            | "pre"
            | "search"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
            | "xmp"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as nested brackets.
    fn shape(source: &str, syntax: Syntax) -> String {
        let tree = Tree::read(source, syntax);
        let mut shape = String::new();
        tree.walk(
            ROOT,
            |_| true,
            |step| match step {
                Visit::Enter(id) if tree.node(id).name.is_some() => {
                    shape.push_str(tree.name(id));
                    shape.push('(');
                }
                Visit::Enter(id) => shape.push_str(&tree.node(id).text),
                Visit::Leave(_) => shape.push(')'),
            },
        );
        shape
    }

    #[test]
    fn ends_that_are_left_out_are_implied() {
        for (source, expected) in [
            ("<p>a<p>b<div>c</div>d", "p(a)p(b)div(c)d"),
            ("<ul><li>a<ul><li>b</ul><li>c</ul>", "ul(li(a ul(li(b))) li(c))"),
            ("<dl><dt>a<dd>b<p>c<dt>d</dl>", "dl(dt(a)dd(b p(c))dt(d))"),
            (
                "<table><tr><td>a<td>b<tr><th>c</table>d",
                "table(tr(td(a)td(b))tr(th(c)))d",
            ),
            ("<b><p>a</b>b</p>c", "b(p(a b)) c"),
            ("<table><tr><td></li>a</table>", "table(tr(td(a)))"),
            ("<head><title>a<b></title><p>b", "head(title(a<b>))p(b)"),
            ("<script>a<p></script>b", "script(a<p>)b"),
            ("a<br>b</br><img src=x>c", "a br()b img()c"),
        ] {
            let found = shape(source, Syntax::Html);
            assert_eq!(found.replace(' ', ""), expected.replace(' ', ""), "{source}");
        }
    }

    #[test]
    fn a_slash_closes_in_xhtml_only() {
        let source = "<title/><a id='x'/>b<script src='y'/>c";
        assert_eq!(
            shape(source, Syntax::Xhtml),
            "title()a()b script()c".replace(' ', "")
        );
        assert_eq!(shape("<a/>b", Syntax::Html), "a(b)");
        assert_eq!(shape("<svg><path/>a</svg><a/>b", Syntax::Html), "svg(path()a)a(b)");
        let xml = "<o:meta>a<![CDATA[<b>]]></o:meta><link>c</link>";
        assert_eq!(shape(xml, Syntax::Xml), "o:meta(a<b>)link(c)");
    }

    #[test]
    fn a_tag_of_countless_attributes_is_cut() {
        let many: Vec<_> = (0..200_000).map(|n| format!(" a{n}=1")).collect();
        let many = many.concat();
        let tree = Tree::read(&format!("<p{many}>text</p><i>"), Syntax::Html);
        assert!(tree.node(1).attributes.len() <= MOST_ATTRIBUTES);
        assert_eq!(tree.text(ROOT), "text");
        let path = format!("<p d='{}' id=x>", "1 2 ".repeat(5_000));
        assert_eq!(Tree::read(&path, Syntax::Html).attribute(1, "id"), Some("x"));
    }
}
