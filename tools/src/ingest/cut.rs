//! Where to cut a text that is too long.

use unicode_normalization::char::is_combining_mark;

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// Sentences: at a blank line, a line, the end of a sentence, a space.
    Prose,
    /// Code and tables: at a blank line or a line.
    Lines,
}

/// The byte at which to cut `text` so that the first part has at most `room` code points.
/// The best kind of border wins if it leaves the first part at least half full; without any
/// border the cut falls between two characters. The whole length if all of it fits.
pub(super) fn at(text: &str, room: usize, grain: Grain) -> usize {
    let Some((limit, _)) = text.char_indices().nth(room) else { return text.len() };
    let window = &text[..limit];
    let half = window.char_indices().nth(room / 2).map_or(0, |(at, _)| at);
    let blank = window.rfind("\n\n").map(|at| at + 2);
    let blank = blank.max(window.rfind("\n\r\n").map(|at| at + 3));
    let line = || window.rfind('\n').map(|at| at + 1);
    let sentence = || sentence_end(text, limit);
    let space = || window.rfind(char::is_whitespace).map(|at| after(text, at));
    let good = |at: &usize| *at > half;
    let found = match grain {
        Grain::Lines => blank.filter(good).or_else(|| line().filter(|at| *at > 0)),
        Grain::Prose => (blank.filter(good))
            .or_else(|| line().filter(good))
            .or_else(|| sentence().filter(good))
            .or_else(|| space().filter(good)),
    };
    found.unwrap_or_else(|| between_characters(text, limit))
}

fn after(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(0, char::len_utf8)
}

/// The last end of a sentence up to `limit`: Latin, Arabic, Devanagari and CJK marks with the
/// quotes and brackets that close behind them.
fn sentence_end(text: &str, limit: usize) -> Option<usize> {
    let mut end = None;
    let mut chars = text[..limit].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_wide = matches!(c, '。' | '！' | '？' | '｡' | '।' | '॥');
        if !is_wide && !matches!(c, '.' | '?' | '!' | '…' | '؟' | '۔') {
            continue;
        }
        let mut border = at + c.len_utf8();
        while let Some((at, c)) = chars.next_if(|(_, c)| {
            matches!(
                c,
                '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '）' | '*'
            )
        }) {
            border = at + c.len_utf8();
        }
        let next = text[border..].chars().next();
        if is_wide || next.is_none_or(char::is_whitespace) {
            end = Some(border);
        }
    }
    end
}

/// `limit`, or a little before it where a letter would lose its accent or an emoji its half.
fn between_characters(text: &str, limit: usize) -> usize {
    let mut borders = text[..limit].char_indices().rev().map(|(at, _)| at).take(16);
    let mut cut = limit;
    loop {
        let is_joined = text[cut..].chars().next().is_some_and(|next| {
            is_combining_mark(next)
                || matches!(next, '\u{200d}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
        }) || text[..cut].ends_with('\u{200d}')
            || text[..cut].ends_with('\r');
        if !is_joined {
            return cut;
        }
        match borders.next() {
            Some(at) if at > 0 => cut = at,
            _ => return limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, room: usize, grain: Grain) -> (&str, &str) {
        text.split_at(at(text, room, grain))
    }

    #[test]
    fn prose_is_cut_at_the_best_border() {
        let (a, b) = parts("One two. Three\n\nfour five. Six", 26, Grain::Prose);
        assert_eq!((a, b), ("One two. Three\n\n", "four five. Six"));
        let (a, _) = parts("One two three. Four five six", 20, Grain::Prose);
        assert_eq!(a, "One two three.");
        let (a, _) = parts("one two three four five six", 20, Grain::Prose);
        assert_eq!(a, "one two three four ");
        let (a, _) = parts("Version 1.2 is no sentence end", 14, Grain::Prose);
        assert_eq!(a, "Version 1.2 ");
    }

    #[test]
    fn sentences_end_in_every_script() {
        assert_eq!(
            parts("他走了。她说：“好。”然后", 11, Grain::Prose).0,
            "他走了。她说：“好。”"
        );
        assert_eq!(parts("वह गया। वह आई और गई", 10, Grain::Prose).0, "वह गया।");
    }

    #[test]
    fn a_text_without_borders_is_cut_between_whole_characters() {
        assert_eq!(parts("éééé", 2, Grain::Prose).0, "éé");
        assert_eq!(parts("abe\u{301}f", 3, Grain::Lines).0, "ab");
        assert_eq!(parts("ab👩\u{200d}🔬c", 4, Grain::Lines).0, "ab");
        assert_eq!(parts("short", 9, Grain::Prose), ("short", ""));
    }
}
