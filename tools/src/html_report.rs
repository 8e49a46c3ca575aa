//! One HTML file that needs nothing else: the look and the plots of `eval` and `report`.

use std::fmt::Write;

/// A page that is written from top to bottom.
pub struct Page {
    title: String,
    body: String,
}

/// One bar of a plot.
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its length, in the unit of the plot; never negative.
    pub value: f64,
    /// What is written behind it.
    pub text: String,
    /// Bars of the same series have the same colour, 0 to 3.
    pub series: usize,
}

/// A cell of a table.
pub enum Cell {
    /// Words, as they are.
    Text(String),
    /// A number, set to the right.
    Number(String),
    /// Several lines.
    Lines(Vec<String>),
}

/// Height of a bar with the space below it, in the units of the drawing.
const ROW: usize = 24;
/// Where bars begin: the labels stand before.
const LABELS: usize = 250;
/// The longest bar.
const LONGEST: usize = 360;
/// The width of a label that fits before the bars.
const LABEL_WIDTH: f64 = 240.0;

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: format!("<h1>{}</h1>\n", escape(title)) }
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        writeln!(self.body, "<h2>{}</h2>", escape(text)).ok();
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        writeln!(self.body, "<p>{}</p>", escape(text)).ok();
    }

    /// The numbers that a reader looks for first.
    pub fn tiles(&mut self, tiles: &[(&str, String)]) {
        self.body.push_str("<dl>\n");
        for (name, value) in tiles {
            let (name, value) = (escape(name), escape(value));
            writeln!(self.body, "<div><dt>{name}</dt><dd>{value}</dd></div>").ok();
        }
        self.body.push_str("</dl>\n");
    }

    /// Bars from left to right; `most` is the value of the longest that is possible.
    pub fn bars(&mut self, name: &str, bars: &[Bar], most: f64) {
        let height = bars.len() * ROW + 4;
        let width = LABELS + LONGEST + 120;
        let name = escape(name);
        writeln!(
            self.body,
            "<figure><figcaption>{name}</figcaption>\n\
             <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\">"
        )
        .ok();
        for (row, bar) in bars.iter().enumerate() {
            let share = if most > 0.0 { (bar.value / most).clamp(0.0, 1.0) } else { 0.0 };
            let length = share * LONGEST as f64;
            let (top, line) = (row * ROW + 4, row * ROW + 17);
            let (label, text) = (escape(&shortened(&bar.label)), escape(&bar.text));
            writeln!(
                self.body,
                "<text class=\"l\" x=\"{}\" y=\"{line}\">{label}</text>\
                 <rect class=\"s{}\" x=\"{LABELS}\" y=\"{top}\" width=\"{length:.1}\" \
                 height=\"16\" rx=\"2\"><title>{}: {text}</title></rect>\
                 <text x=\"{:.1}\" y=\"{line}\">{text}</text>",
                LABELS - 8,
                bar.series % 4,
                escape(&bar.label),
                LABELS as f64 + length + 6.0,
            )
            .ok();
        }
        self.body.push_str("</svg></figure>\n");
    }

    /// A table; nothing when there are no rows.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<Cell>]) {
        if rows.is_empty() {
            return;
        }
        self.body.push_str("<div class=\"wide\"><table>\n<tr>");
        for name in head {
            write!(self.body, "<th>{}</th>", escape(name)).ok();
        }
        self.body.push_str("</tr>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for cell in row {
                match cell {
                    Cell::Text(text) => write!(self.body, "<td>{}</td>", escape(text)),
                    Cell::Number(text) => {
                        write!(self.body, "<td class=\"n\">{}</td>", escape(text))
                    }
                    Cell::Lines(lines) => {
                        let line = |it: &String| format!("<div>{}</div>", escape(it));
                        let lines: String = lines.iter().map(line).collect();
                        write!(self.body, "<td>{lines}</td>")
                    }
                }
                .ok();
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</table></div>\n");
    }

    /// The whole file.
    pub fn finish(self) -> String {
        let (title, body) = (escape(&self.title), self.body);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n<main>\n{body}</main>\n</html>\n"
        )
    }
}

/// Three places, as scores are read.
pub fn score(value: f64) -> String {
    format!("{value:.3}")
}

/// As much of a label as fits, whatever its script.
fn shortened(label: &str) -> String {
    let fitting = |width: f64| {
        let mut left = width;
        let fits = move |c: &char| {
            left -= advance(*c);
            left >= 0.0
        };
        label.chars().take_while(fits).collect::<String>()
    };
    if fitting(LABEL_WIDTH) == label {
        return label.to_owned();
    }
    fitting(LABEL_WIDTH - advance('…')).trim_end().to_owned() + "…"
}

/// About how wide a character of 12 pixels is; rather too much than too little.
fn advance(c: char) -> f64 {
    match c {
        // Hangul, kana, ideographs, pictures.
        '\u{1100}'.. => 12.5,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 11.0,
        _ if c.is_uppercase() => 8.5,
        _ if c.is_alphanumeric() => 7.0,
        _ => 6.0,
    }
}

/// `text` as HTML shows it, in an attribute too. Control characters, which HTML cannot hold,
/// become a mark.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = "
:root { color-scheme: light dark; --a: #2f6fb0; --b: #c2742c; --c: #4b8a4b; --d: #8a5a9e }
@media (prefers-color-scheme: dark) { :root { --a: #74aee6; --b: #e8a663; --c: #8cc78c; --d: #c39ad6 } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
dl { display: flex; flex-wrap: wrap; gap: .6rem }
dl div { border: 1px solid #8885; border-radius: .4rem; padding: .4rem .8rem }
dt { font-size: .85rem; opacity: .75 } dd { font-size: 1.25rem; margin: 0 }
figure { margin: 1rem 0; overflow-x: auto } figcaption { font-size: .9rem; opacity: .8 }
svg { width: 100%; min-width: 40rem; max-width: 46rem; height: auto }
svg text { font: 12px system-ui, sans-serif; fill: currentColor } svg .l { text-anchor: end }
.s0 { fill: var(--a) } .s1 { fill: var(--b) } .s2 { fill: var(--c) } .s3 { fill: var(--d) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem }
th, td { border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums }
td div { padding-left: 1em; text-indent: -1em } td div + div { margin-top: .25rem }
";

#[cfg(test)]
mod tests {
    use super::{Bar, Cell, LABEL_WIDTH, Page, advance, shortened};

    #[test]
    fn words_of_readers_stay_words() {
        let nasty = "<script>alert('x')</script> & \"co\"\u{1}";
        let mut page = Page::new(nasty);
        page.paragraph(nasty);
        page.tiles(&[("n", nasty.to_owned())]);
        page.table(
            &["h"],
            &[vec![Cell::Text(nasty.into()), Cell::Lines(vec![nasty.into()])]],
        );
        let bar = Bar { label: nasty.into(), value: 1.0, text: nasty.into(), series: 0 };
        page.bars(nasty, &[bar], 1.0);
        let html = page.finish();
        assert!(!html.contains("<script") && !html.contains('\u{1}'), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    }

    #[test]
    fn a_label_is_cut_where_the_bars_begin_in_any_script() {
        for label in
            ["Settings", "Deploying to Vercel > 2. The book", "所有权与借用的规则"]
        {
            assert_eq!(shortened(label), label);
        }
        for label in ["W", "n", "所", "द", "T"].map(|it| it.repeat(60)) {
            let cut = shortened(&label);
            assert!(
                cut.ends_with('…')
                    && cut.chars().map(advance).sum::<f64>() <= LABEL_WIDTH
            );
        }
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let html = Page::new("x").finish();
        for word in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!html.contains(word), "{word}");
        }
    }

    #[test]
    fn the_longest_bar_fills_the_plot_and_an_empty_plot_divides_by_nothing() {
        let bar =
            |value| Bar { label: "l".into(), value, text: String::new(), series: 1 };
        let drawn = |bars: &[Bar], most| {
            let mut page = Page::new("x");
            page.bars("p", bars, most);
            page.finish()
        };
        assert!(drawn(&[bar(4.0)], 4.0).contains("width=\"360.0\""));
        assert!(drawn(&[bar(1.0)], 4.0).contains("width=\"90.0\""));
        assert!(drawn(&[bar(0.0)], 0.0).contains("width=\"0.0\""));
    }
}
