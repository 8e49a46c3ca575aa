//! Where Markdown's code begins and ends, character by character: what stands in it is no
//! marker and no link.

/// Where in Markdown's code we are.
#[derive(Default)]
pub(super) struct Code {
    /// The fence that is open: its character and length.
    fence: Option<(char, usize)>,
    /// The fence-like run at the start of this line, while there is nothing else on it.
    run: Option<(char, usize)>,
    /// Whether this line has shown anything but spaces and one run.
    line_has_text: bool,
    /// Inside a code span.
    span: bool,
}

impl Code {
    /// Whether a bracket here indexes something, or stands in a block: `before` is the text
    /// so far.
    pub(super) fn hides_bracket(&self, before: &str) -> bool {
        let indexes = |c: char| c.is_alphanumeric() || matches!(c, '_' | ']' | ')');
        self.fence.is_some() || (self.span && before.ends_with(indexes))
    }

    /// Whether `next` will stand in a block, in the line that opens one, or in a span.
    pub(super) fn holds(&self, next: char) -> bool {
        let opens = |(mark, n)| next != mark && (n >= 3 || (mark == '`' && n % 2 == 1));
        self.fence.is_some()
            || self.span
            || (!self.line_has_text && self.run.is_some_and(opens))
    }

    /// The next character of the text.
    pub(super) fn see(&mut self, c: char) {
        if c == '\n' {
            self.end_line();
            return;
        }
        if !self.line_has_text {
            match (self.run, c) {
                (None, ' ') => return,
                (None, '`' | '~') => {
                    self.run = Some((c, 1));
                    return;
                }
                (Some((mark, n)), _) if mark == c => {
                    self.run = Some((mark, n + 1));
                    return;
                }
                _ => self.begin_text(),
            }
        }
        if self.fence.is_none() && c == '`' {
            self.span = !self.span;
        }
    }

    /// The first other character of a line: what the run before it meant is known now.
    fn begin_text(&mut self) {
        self.line_has_text = true;
        match (self.fence, self.run.take()) {
            (None, Some(run)) if run.1 >= 3 => self.fence = Some(run),
            (None, Some(('`', n))) => self.span ^= n % 2 == 1,
            _ => {}
        }
    }

    fn end_line(&mut self) {
        match (self.fence, self.run) {
            (Some((mark, open)), Some((m, n))) if m == mark && n >= open => {
                self.fence = None;
            }
            (None, Some(run)) if run.1 >= 3 => self.fence = Some(run),
            _ => {}
        }
        // A span does not outlive its paragraph; a line is near enough and closes sooner.
        (self.run, self.line_has_text, self.span) = (None, false, false);
    }
}
