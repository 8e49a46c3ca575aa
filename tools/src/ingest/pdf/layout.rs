//! From glyphs on a sheet to lines, and from lines to paragraphs.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

/// A line as it was set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    /// What it says.
    pub text: String,
    /// Where it starts, in points from the left.
    pub left: f64,
    /// Where it ends.
    pub right: f64,
    /// Its base line, in points from the bottom.
    pub y: f64,
    /// The size of its letters in points.
    pub size: f64,
}

/// Where a glyph stands, in points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// From the left.
    pub x: f64,
    /// From the bottom.
    pub y: f64,
    /// How far it reaches to the right.
    pub width: f64,
    /// Its size.
    pub size: f64,
}

/// Adds a glyph to the page's last line or begins the next. Glyphs come in the order in which
/// the page draws them.
pub(super) fn add(lines: &mut Vec<Line>, glyph: &str, at: Place) {
    let is_next = lines.last().is_none_or(|line| {
        let size = line.size.max(at.size);
        (line.y - at.y).abs() > size * 0.5 || at.x < line.right - size * 2.0
    });
    if is_next {
        lines.push(Line { left: at.x, right: at.x, y: at.y, ..Line::default() });
    }
    let line = lines.last_mut().expect("one was added");
    let is_apart = at.x > line.right + at.size * 0.15;
    if is_apart && !line.text.is_empty() && !line.text.ends_with(' ') {
        line.text.push(' ');
    }
    for c in glyph.chars() {
        match c {
            // Ligatures: no reader searches for them.
            '\u{FB00}'..='\u{FB06}' => line.text.extend(std::iter::once(c).nfkc()),
            c if c.is_whitespace() => line.text.push(' '),
            c if c.is_control() => {}
            c => line.text.push(c),
        }
    }
    line.right = line.right.max(at.x + at.width);
    line.size = line.size.max(at.size);
}

/// Takes away what stands at the top or bottom of one page after the other: titles and page
/// numbers. A line counts as the same whatever its digits are.
pub(super) fn drop_running(pages: &mut [Vec<Line>]) {
    let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
    for (number, lines) in pages.iter().enumerate() {
        let keys: HashSet<_> = edges(lines).map(|at| key(&lines[at])).collect();
        for key in keys {
            seen.entry(key).or_default().push(number);
        }
    }
    // Left and right pages differ, and some have none.
    let runs = |key: &str| {
        let on = &seen[key];
        on.len() >= 3 && on.len() * 3 > on[on.len() - 1] - on[0]
            || pages.len() >= 3 && is_number(key)
    };
    let drops: Vec<HashSet<usize>> = pages
        .iter()
        .map(|lines| edges(lines).filter(|at| runs(&key(&lines[*at]))).collect())
        .collect();
    for (lines, drops) in pages.iter_mut().zip(drops) {
        let mut at = 0;
        lines.retain(|_| {
            at += 1;
            !drops.contains(&(at - 1))
        });
    }
}

/// The two uppermost and the two lowest lines.
fn edges(lines: &[Line]) -> impl Iterator<Item = usize> {
    const DEPTH: usize = 2;
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| lines[*b].y.total_cmp(&lines[*a].y));
    let len = order.len();
    order
        .into_iter()
        .enumerate()
        .filter_map(move |(rank, at)| (rank < DEPTH || rank + DEPTH >= len).then_some(at))
}

/// The line with one `#` for each of its numbers.
fn key(line: &Line) -> String {
    let mut key = String::new();
    for c in line.text.trim().chars() {
        match c {
            '0'..='9' if key.ends_with('#') => {}
            '0'..='9' => key.push('#'),
            c => key.push(c),
        }
    }
    key
}

/// The number of a page, Roman before the first chapter.
fn is_number(key: &str) -> bool {
    let number = key.trim_matches(|c: char| !c.is_alphanumeric() && c != '#');
    number == "#"
        || (1..=6).contains(&number.len()) && number.chars().all(|c| "ivxl".contains(c))
}

/// The words of a book that are written with a hyphen within a line.
#[derive(Debug, Default)]
pub(super) struct Hyphens(HashSet<String>);

impl Hyphens {
    /// Collects them.
    pub(super) fn of(pages: &[Vec<Line>]) -> Self {
        let lines = pages.iter().flatten();
        let words = lines.flat_map(|line| line.text.split_whitespace());
        let words = words.map(|it| it.trim_matches(|c: char| !c.is_alphanumeric()));
        Self(words.filter(|it| it.contains('-')).map(str::to_lowercase).collect())
    }

    /// Puts `next` behind `text`, and a word that the line's end cut in two together.
    fn join(&self, text: &mut String, next: &str) {
        let next = next.trim();
        let stem = text.strip_suffix(['-', '\u{2010}', '\u{AD}']);
        let is_cut = stem.is_some_and(|it| it.ends_with(char::is_lowercase))
            && next.starts_with(char::is_lowercase);
        if let Some(stem) = stem.filter(|_| is_cut) {
            let is_letter = |c: char| c.is_alphanumeric();
            let first = stem.rsplit(|c| !is_letter(c)).next().unwrap_or_default();
            let last = next.split(|c| !is_letter(c)).next().unwrap_or_default();
            let word = format!("{first}-{last}").to_lowercase();
            if !self.0.contains(&word) {
                text.truncate(stem.len());
            }
        } else if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(next);
    }
}

/// The paragraphs of a page, their lines joined.
pub(super) fn paragraphs(lines: &[Line], hyphens: &Hyphens) -> Vec<String> {
    let mut gaps: Vec<f64> =
        lines.windows(2).map(|it| it[0].y - it[1].y).filter(|gap| *gap > 0.0).collect();
    gaps.sort_by(f64::total_cmp);
    // The lower quartile: pages of short paragraphs have many wide gaps.
    let leading = gaps.get(gaps.len() / 4).copied().unwrap_or(0.0);
    let right = lines.iter().map(|line| line.right).fold(0.0, f64::max);
    let mut paragraphs: Vec<String> = Vec::new();
    let mut before: Option<&Line> = None;
    for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
        let begins = before.is_none_or(|it| begins(it, line, leading, right));
        before = Some(line);
        match paragraphs.last_mut().filter(|_| !begins) {
            Some(text) => hyphens.join(text, &line.text),
            None => paragraphs.push(line.text.trim().to_owned()),
        }
    }
    paragraphs
}

/// Whether `line` begins a paragraph after `before`.
fn begins(before: &Line, line: &Line, leading: f64, right: f64) -> bool {
    let text = before.text.trim_end();
    let is_ended = text.ends_with(['.', '!', '?', ':', '”', '"', '。', '！', '？', ')']);
    let gap = before.y - line.y;
    let size = before.size.max(line.size);
    if (before.size - line.size).abs() > size * 0.15 {
        return true;
    }
    if gap <= 0.0 {
        // The next column: a sentence may go on there.
        return is_ended || !line.text.trim_start().starts_with(char::is_lowercase);
    }
    let is_indented = line.left > before.left + size * 0.8;
    let is_short = before.right < before.left + (right - before.left) * 0.8;
    let is_bullet = line.text.trim_start().starts_with(['•', '◦', '▪', '–', '‣']);
    gap > leading * 1.4 || is_bullet || is_ended && (is_indented || is_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, left: f64, right: f64, y: f64) -> Line {
        Line { text: text.into(), left, right, y, size: 10.0 }
    }

    #[test]
    fn glyphs_become_lines_with_their_spaces() {
        let mut lines = Vec::new();
        let mut x = 0.0;
        for (glyph, gap, y) in
            [("a", 0.0, 9.0), ("b", 0.2, 9.0), ("c", 3.0, 9.2), ("\u{FB01}", 0.0, 9.0)]
        {
            x += gap;
            add(&mut lines, glyph, Place { x, y, width: 5.0, size: 10.0 });
            x += 5.0;
        }
        add(&mut lines, "d", Place { x: 0.0, y: -3.0, width: 5.0, size: 10.0 });
        let texts: Vec<_> = lines.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["ab cfi", "d"]);
    }

    #[test]
    fn paragraphs_are_joined_and_cut_words_mended() {
        let lines = [
            line("A well-known para-", 0.0, 100.0, 100.0),
            line("graph of a well-", 0.0, 100.0, 88.0),
            line("known kind ends.", 0.0, 50.0, 76.0),
            line("Another begins", 10.0, 100.0, 64.0),
            line("here.", 0.0, 20.0, 52.0),
            line("Far below", 0.0, 40.0, 20.0),
            line("and on", 200.0, 240.0, 100.0),
        ];
        let hyphens = Hyphens::of(&[lines.to_vec()]);
        assert_eq!(
            paragraphs(&lines, &hyphens),
            [
                "A well-known paragraph of a well-known kind ends.",
                "Another begins here.",
                "Far below and on"
            ]
        );
    }

    #[test]
    fn running_titles_and_page_numbers_go() {
        let mut pages: Vec<_> = (8..13)
            .map(|n| {
                vec![
                    line(&format!("{n}"), 0.0, 10.0, 10.0),
                    line(&format!("Trees, page {n}"), 0.0, 50.0, 800.0),
                    line(&format!("Of its own {}", "x".repeat(n)), 0.0, 90.0, 700.0),
                    line("Twice", 0.0, 90.0, 600.0),
                ]
            })
            .collect();
        pages[0].pop();
        pages.push(vec![line("Alone", 0.0, 10.0, 500.0)]);
        drop_running(&mut pages);
        assert_eq!(pages[0].len(), 1);
        assert!(pages[1][0].text.starts_with("Of its own"), "{:?}", pages[1]);
        assert_eq!(pages[5].len(), 1);
    }
}
