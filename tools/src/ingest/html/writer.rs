//! Writes blocks of Markdown, each line behind the margins of the lists and quotations that
//! it is in.

/// Deeper margins are not drawn: no reader could tell them apart, and each line of a page
/// would grow with them.
const DEEPEST: usize = 8;

/// The Markdown of a page, block by block.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: String,
    margins: Vec<Margin>,
    /// How many margins were opened beyond [`DEEPEST`].
    undrawn: usize,
    is_tight: bool,
}

#[derive(Debug)]
struct Margin {
    /// What stands before its first line, while nothing was written.
    first: Option<String>,
    /// What stands before the others.
    rest: String,
}

impl Writer {
    /// Everything from here to [`Writer::close`] is in a list's item or a quotation.
    pub(super) fn open(&mut self, first: &str, rest: &str) {
        if self.margins.len() == DEEPEST {
            self.undrawn += 1;
            return;
        }
        self.margins
            .push(Margin { first: Some(first.to_owned()), rest: rest.to_owned() });
    }

    /// The item or quotation ends. If nothing was written in it, it was never there.
    pub(super) fn close(&mut self) {
        self.is_tight = false;
        if self.undrawn > 0 {
            self.undrawn -= 1;
        } else {
            self.margins.pop();
        }
    }

    /// The next block follows the last without a blank line.
    pub(super) fn tighten(&mut self) {
        self.is_tight = true;
    }

    /// Writes one block, `lines` long.
    pub(super) fn block(&mut self, lines: &str) {
        let is_tight = std::mem::take(&mut self.is_tight);
        if !self.out.is_empty() {
            self.out.push('\n');
            if !is_tight {
                self.between();
            }
        }
        for (at, line) in lines.split('\n').enumerate() {
            if at > 0 {
                self.out.push('\n');
            }
            let start = self.out.len();
            for margin in &mut self.margins {
                match margin.first.take() {
                    Some(first) => self.out.push_str(&first),
                    None => self.out.push_str(&margin.rest),
                }
            }
            self.out.push_str(line);
            let end = self.out[start..].trim_end().len();
            self.out.truncate(start + end);
        }
    }

    /// A blank line; in a quotation that goes on, the quotation's.
    fn between(&mut self) {
        let start = self.out.len();
        for margin in self.margins.iter().take_while(|it| it.first.is_none()) {
            self.out.push_str(&margin.rest);
        }
        let end = self.out[start..].trim_end().len();
        self.out.truncate(start + end);
        self.out.push('\n');
    }

    /// The page.
    pub(super) fn finish(mut self) -> String {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}
