//! Pages that promise a text and have none.

/// A page with fewer letters than this under its headings says nothing.
const NOTHING: usize = 20;
/// A page with more than this is a text, whatever it promises.
const A_TEXT: usize = 250;

/// What such pages say in place of a text, in lower case.
const PROMISES: [&str; 11] = [
    "coming soon",
    "under construction",
    "under development",
    "work in progress",
    "to be written",
    "to be added",
    "to be done",
    "content will be added",
    "in preparation",
    "stay tuned",
    "todo",
];

/// Whether the page is a stub. The body has no front matter and no tags any more.
pub(super) fn is_stub(body: &str) -> bool {
    let said: String = body
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    let letters = said.chars().filter(|c| c.is_alphanumeric()).count();
    let said = format!(" {} ", words(&said));
    letters < NOTHING
        || letters < A_TEXT && PROMISES.iter().any(|it| said.contains(&format!(" {it} ")))
}

/// The words of a text in lower case with one space between them: what makes two texts equal.
pub(super) fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|it| !it.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_and_empty_pages_are_stubs() {
        assert!(is_stub("# Oak\n\nComing soon!\n"));
        assert!(is_stub(
            "# Oak\n\n**This page is under development**, please come back.\n"
        ));
        assert!(is_stub("# A heading of a page that has many words\n\n\n"));
        assert!(!is_stub("# Oak\n\nOaks grow slowly and live long.\n"));
        assert!(!is_stub(
            "# 橡树\n\n橡树长得很慢，活得很久。它们的木头很硬，常用来造船和房子。\n"
        ));
        let text = "Words about release planning and what is coming soon. ".repeat(8);
        assert!(!is_stub(&text));
    }
}
