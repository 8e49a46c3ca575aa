//! Reads a PDF that has text: one section a page, so that a link can open the page.

mod layout;
mod outline;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    collections::HashSet,
    fmt::{self, Write},
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Once, mpsc},
    thread,
    time::{Duration, Instant},
};

use pdf_extract::{
    Dictionary, Document, MediaBox, Object, OutputDev, OutputError, Stream, Transform,
    content::Content, output_doc_page,
};

use self::{
    layout::{Hyphens, Line, Place},
    outline::Bookmark,
};
use super::{
    html::{self, one_line, with_title},
    read::Page,
};
use crate::Outcome;

/// Files of this size or more are refused: their pages are pictures.
const TOO_LARGE: u64 = 200_000_000;

/// More glyphs than this on one page are drawn by no book.
const MOST_GLYPHS: usize = 1_000_000;

/// A thousand pages take seconds.
const TIME_LIMIT: Duration = Duration::from_mins(5);

/// The parser calls itself for what is nested.
const STACK: usize = 64 * 1024 * 1024;

/// Drawings within drawings deeper than this are a trap.
const DEEPEST: usize = 64;

/// Pages with fewer letters than this on average are pictures with a stamp.
const FEWEST_LETTERS: usize = 10;

/// The thread that reads, whose panics are errors and not news.
const THREAD: &str = "pdf";

/// What was read of a PDF.
#[derive(Debug)]
pub(super) struct Pdf {
    /// The whole of it, under its file's name.
    pub page: Page,
    /// The pages that could not be read, one line each.
    pub warnings: Vec<String>,
}

/// Reads the PDF at `file`; the page is called `path`. Its sections are the sheets, with the
/// anchors `page=1`, `page=2` … that viewers understand, under the titles of its bookmarks.
/// Fails, naming the file, on what is no PDF, is encrypted, has no text or takes too long.
pub(super) fn book(file: &Path, path: &str) -> Outcome<Pdf> {
    let read = || -> Outcome<Pdf> {
        if fs::metadata(file)?.len() >= TOO_LARGE {
            let limit = TOO_LARGE / 1_000_000;
            return Err(format!("a PDF must be under {limit} MB").into());
        }
        let bytes = fs::read(file)?;
        let (source, warnings) = aside(move || source(&bytes))?;
        let page = Page::written(path.to_owned(), source);
        let warnings = warnings.into_iter().map(|it| format!("{path}: {it}")).collect();
        Ok(Pdf { page, warnings })
    };
    read().map_err(|err| format!("{}: {err}", file.display()).into())
}

/// Runs `work` where it has room and where a panic ends only itself.
fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(THREAD) {
                before(info);
            }
        }));
    });
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK).spawn(
        move || {
            let result = caught(work).unwrap_or_else(|what| {
                Err(format!("the parser gave up on this file ({what})").into())
            });
            // Nobody waits any longer if the time is over.
            sender.send(result).ok();
        },
    )?;
    // The thread is left behind: it stops at its next glyph, or with the command.
    receiver.recv_timeout(TIME_LIMIT + Duration::from_secs(10)).unwrap_or_else(|_| {
        Err(format!("took longer than {} seconds", TIME_LIMIT.as_secs()).into())
    })
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|it| words(it.as_ref()))
}

/// What a panic said, on one short line.
fn words(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("for no reason");
    one_line(words).chars().take(120).collect()
}

/// The Markdown of a PDF, and what was left out.
fn source(bytes: &[u8]) -> Outcome<(String, Vec<String>)> {
    let deadline = Instant::now() + TIME_LIMIT;
    let mut document = Document::load_mem(bytes).map_err(|err| match err {
        pdf_extract::Error::Decryption(_) | pdf_extract::Error::InvalidPassword => {
            ENCRYPTED.to_owned()
        }
        err => format!("no PDF, or a damaged one ({err})"),
    })?;
    // The entry may also be written out in the trailer, which the parser overlooks.
    if document.trailer.has(b"Encrypt") || document.was_encrypted() {
        return Err(ENCRYPTED.into());
    }
    drop_pictures(&mut document);
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    if numbers.is_empty() {
        return Err("no PDF, or a damaged one (it has no pages)".into());
    }
    let mut warnings = Vec::new();
    let mut pages = Vec::new();
    for number in &numbers {
        if Instant::now() > deadline {
            return Err(
                format!("took longer than {} seconds", TIME_LIMIT.as_secs()).into()
            );
        }
        let mut glyphs = Glyphs { lines: Vec::new(), count: 0, deadline };
        let result = caught(|| {
            check_nesting(&document, *number)?;
            output_doc_page(&document, &mut glyphs, *number)
                .map_err(|err| err.to_string())
        });
        if let Err(why) | Ok(Err(why)) = result {
            warnings
                .push(format!("page {number} could not be read ({})", one_line(&why)));
            glyphs.lines.clear();
        }
        pages.push(glyphs.lines);
    }
    if warnings.len() == numbers.len() {
        return Err(format!("the parser gave up on this file: {}", warnings[0]).into());
    }
    check_text(&pages, numbers.len() - warnings.len())?;
    layout::drop_running(&mut pages);
    let bookmarks = outline::read(&document);
    let pages: Vec<_> = numbers.into_iter().zip(pages).collect();
    let text = markdown(&pages, &bookmarks);
    Ok(match title(&document) {
        Some(title) => (with_title(&title, &text), warnings),
        None => (text, warnings),
    })
}

const ENCRYPTED: &str = "the PDF is encrypted; save a copy without a password";

/// Fails on scans, and on fonts that do not say which letters they draw.
fn check_text(pages: &[Vec<Line>], readable: usize) -> Outcome {
    let all = || pages.iter().flatten().flat_map(|line| line.text.chars());
    let letters = all().filter(|c| c.is_alphanumeric()).count();
    let riddles =
        all().filter(|c| matches!(c, '\u{FFFD}' | '\u{E000}'..='\u{F8FF}')).count();
    if riddles > letters {
        return Err("its fonts do not say which letters they draw; make its text \
                    searchable first, for example with OCR"
            .into());
    }
    if letters == 0 || readable >= 3 && letters < readable * FEWEST_LETTERS {
        return Err(
            "its pages are pictures without text; make its text searchable first, \
                    for example with OCR"
                .into(),
        );
    }
    Ok(())
}

/// Pictures are drawn like text is, and the parser would look for text in their pixels.
fn drop_pictures(document: &mut Document) {
    for object in document.objects.values_mut() {
        if let Object::Stream(stream) = object
            && stream.dict.get(b"Subtype").and_then(Object::as_name).ok()
                == Some(b"Image")
        {
            stream.dict.remove(b"Filter");
            stream.content.clear();
        }
    }
}

/// Fails if a page is part of itself or its drawings draw themselves: the parser would follow them until the stack
/// ends, and nothing catches that.
fn check_nesting(document: &Document, number: u32) -> Result<(), String> {
    let page = document.get_pages().get(&number).copied().ok_or("it is gone")?;
    let content = document.get_page_content(page).map_err(|err| err.to_string())?;
    let mut resources = None;
    let mut at = document.get_dictionary(page).ok();
    let mut depth = 0;
    while let Some(node) = at {
        resources = resources.or_else(|| dictionary(document, node, b"Resources"));
        at = dictionary(document, node, b"Parent");
        depth += 1;
        if depth > DEEPEST {
            return Err("it is part of itself".into());
        }
    }
    let Some(resources) = resources else { return Ok(()) };
    let mut done = HashSet::new();
    draws(document, &content, resources, &mut Vec::new(), &mut done)
}

type Drawing = (*const Stream, *const Dictionary);

fn draws(
    document: &Document,
    content: &[u8],
    resources: &Dictionary,
    within: &mut Vec<Drawing>,
    done: &mut HashSet<Drawing>,
) -> Result<(), String> {
    // What cannot be decoded is not drawn, either.
    let Ok(content) = Content::decode(content) else { return Ok(()) };
    let Some(drawings) = dictionary(document, resources, b"XObject") else {
        return Ok(());
    };
    for operation in content.operations.iter().filter(|it| it.operator == "Do") {
        let name = operation.operands.first().and_then(|it| it.as_name().ok());
        let stream = name
            .and_then(|name| drawings.get_deref(name, document).ok())
            .and_then(|it| it.as_stream().ok());
        let Some(stream) = stream else { continue };
        let inner = dictionary(document, &stream.dict, b"Resources").unwrap_or(resources);
        let drawing: Drawing = (stream, inner);
        if within.contains(&drawing) || within.len() >= DEEPEST {
            return Err("its drawings draw themselves".into());
        }
        if !done.insert(drawing) {
            continue;
        }
        let content =
            stream.decompressed_content().unwrap_or_else(|_| stream.content.clone());
        within.push(drawing);
        draws(document, &content, inner, within, done)?;
        within.pop();
    }
    Ok(())
}

fn dictionary<'a>(
    document: &'a Document,
    of: &'a Dictionary,
    key: &[u8],
) -> Option<&'a Dictionary> {
    of.get_deref(key, document).ok()?.as_dict().ok()
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get_deref(b"Info", document).ok()?.as_dict().ok()?;
    let title = info.get_deref(b"Title", document).ok()?;
    let title = one_line(&pdf_extract::decode_text_string(title).ok()?);
    // Word processors put the name of the file there.
    let is_file = [".doc", ".docx", ".tex", ".indd", ".dvi", ".pdf", ".qxd"]
        .iter()
        .any(|end| title.to_ascii_lowercase().ends_with(end));
    (!title.is_empty() && !is_file && title != "untitled").then_some(title)
}

/// The pages under their bookmarks. A bookmark whose words stand on its page begins there,
/// another at the top of the page.
fn markdown(pages: &[(u32, Vec<Line>)], bookmarks: &[Bookmark]) -> String {
    let lines: Vec<_> = pages.iter().map(|(_, lines)| lines.clone()).collect();
    let hyphens = Hyphens::of(&lines);
    let level = if bookmarks.is_empty() { 2 } else { 6 };
    let mut out = String::new();
    for (number, lines) in pages {
        let here: Vec<_> = bookmarks.iter().filter(|it| it.page == *number).collect();
        let mut from = 0;
        let mut body = String::new();
        let write = |body: &mut String, lines: &[Line]| {
            for text in layout::paragraphs(lines, &hyphens) {
                let text = html::text(&text);
                if !text.is_empty() {
                    write!(body, "{text}\n\n").expect("a string takes all");
                }
            }
        };
        for bookmark in here {
            let title = bare(&bookmark.title);
            let found = lines[from..].iter().position(|line| bare(&line.text) == title);
            if let Some(at) = found {
                write(&mut body, &lines[from..from + at]);
                from += at + 1;
            }
            // Deeper than the title of the whole, less deep than the pages.
            let depth = (bookmark.level + 1).min(5);
            let name = html::heading(&bookmark.title);
            if name.is_empty() {
                continue;
            }
            let heading = format!("{} {name} {{#page={number}}}\n\n", "#".repeat(depth));
            if found.is_some() && !body.is_empty() {
                body.push_str(&heading);
            } else {
                out.push_str(&heading);
            }
        }
        write(&mut body, &lines[from..]);
        if !body.is_empty() {
            let marks = "#".repeat(level);
            write!(out, "{marks} Page {number} {{#page={number}}}\n\n{body}")
                .expect("a string takes all");
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The letters of a title without its number, blanks and case.
fn bare(title: &str) -> String {
    let title = title.trim_start_matches(|c: char| !c.is_alphabetic());
    title.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Takes the glyphs of a page from the parser.
struct Glyphs {
    lines: Vec<Line>,
    count: usize,
    deadline: Instant,
}

impl OutputDev for Glyphs {
    fn begin_page(
        &mut self,
        _number: u32,
        _media: &MediaBox,
        _art: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        at: &Transform,
        width: f64,
        _spacing: f64,
        font_size: f64,
        glyph: &str,
    ) -> Result<(), OutputError> {
        self.count += 1;
        if self.count > MOST_GLYPHS
            || self.count.is_multiple_of(1024) && Instant::now() > self.deadline
        {
            return Err(OutputError::FormatError(fmt::Error));
        }
        // Text on its side is a stamp in the margin.
        if at.m12.abs() > at.m11.abs() {
            return Ok(());
        }
        let across = font_size * (at.m11 + at.m21);
        let up = font_size * (at.m12 + at.m22);
        let place = Place {
            x: at.m31,
            y: at.m32,
            width: width * font_size * at.m11,
            size: (across * up).abs().sqrt(),
        };
        layout::add(&mut self.lines, glyph, place);
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}
