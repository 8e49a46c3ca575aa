//! Server-sent events, read from bytes as they come.

use thiserror::Error;

/// The longest line and the longest event, in bytes. A token takes about 300; whoever
/// sends more is no model.
const LONGEST: usize = 1 << 20;

/// A line or an event that is longer than any model writes.
#[derive(Debug, Error)]
#[error("an event of the reply is too long")]
pub(super) struct TooLong;

/// An incremental parser of `text/event-stream` after the WHATWG's grammar. Bytes may be cut
/// anywhere, also inside a character or between CR and LF. Only `data` is kept: no model
/// needs the names, ids and comments.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a CR, whose line was taken already: an LF now belongs to it.
    after_cr: bool,
    /// The first line, on which a byte order mark may stand, is over.
    begun: bool,
}

impl Parser {
    /// Takes more bytes; returns the data of every event that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|it| matches!(it, b'\r' | b'\n')) {
            self.lengthen(&bytes[..end])?;
            events.extend(self.end_line()?);
            let cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if cr {
                self.after_cr = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.lengthen(bytes)?;
        Ok(events)
    }

    /// The event that the end of the bytes cut short, if it has data. The grammar would drop
    /// it; but servers exist that leave out the blank line after `[DONE]`.
    pub(super) fn finish(mut self) -> Result<Option<String>, TooLong> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.data)
    }

    fn lengthen(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > LONGEST {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let (name, value) = match line.iter().position(|it| *it == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            self.append(&String::from_utf8_lossy(value))?;
        }
        Ok(None)
    }

    fn append(&mut self, value: &str) -> Result<(), TooLong> {
        let Some(data) = &mut self.data else {
            self.data = Some(value.to_owned());
            return Ok(());
        };
        if data.len() + value.len() >= LONGEST {
            return Err(TooLong);
        }
        data.push('\n');
        data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Vec<String> {
        pieces(&[bytes])
    }

    fn pieces(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            events.extend(parser.feed(piece).unwrap());
        }
        events.extend(parser.finish().unwrap());
        events
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("data: one{end}{end}data: two{end}{end}");
            assert_eq!(whole(text.as_bytes()), ["one", "two"], "{end:?}");
        }
    }

    #[test]
    fn lines_of_data_are_joined() {
        assert_eq!(whole(b"data: a\ndata: b\ndata:\ndata:  c\n\n"), ["a\nb\n\n c"]);
    }

    #[test]
    fn the_space_after_the_colon_and_the_colon_itself_may_be_missing() {
        assert_eq!(whole(b"data:x\n\ndata\n\n"), ["x", ""]);
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        let text = b": ping\n\nevent: delta\nid: 1\nretry: 5\ndata: x\n:y\n\nid: 2\n\n";
        assert_eq!(whole(text), ["x"]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_start_only() {
        assert_eq!(whole(b"\xef\xbb\xbfdata: x\n\n"), ["x"]);
        assert_eq!(whole(b"data: x\n\n\xef\xbb\xbfdata: y\n\n"), ["x"]);
    }

    #[test]
    fn the_last_event_may_lack_its_blank_line_and_its_line_end() {
        assert_eq!(whole(b"data: x\n\ndata: [DONE]\n"), ["x", "[DONE]"]);
        assert_eq!(whole(b"data: [DONE]"), ["[DONE]"]);
        assert_eq!(whole(b"data: x\n\n"), ["x"]);
    }

    #[test]
    fn a_character_may_be_cut() {
        assert_eq!(pieces(&[b"data: \xe2\x82", b"\xac\n", b"\n"]), ["€"]);
        assert_eq!(whole(b"data: \xff\n\n"), ["\u{fffd}"]);
    }

    #[test]
    fn cr_and_lf_may_be_cut_apart() {
        assert_eq!(pieces(&[b"data: a\r", b"\ndata: b\r", b"", b"\n\r\n"]), ["a\nb"]);
        assert_eq!(pieces(&[b"data: a\r", b"\rdata: b\r", b"\r"]), ["a", "b"]);
    }

    #[test]
    fn a_line_and_an_event_without_end_are_refused() {
        let mut parser = Parser::default();
        assert!(parser.feed(&vec![b'x'; LONGEST]).is_ok());
        assert!(parser.feed(b"x").is_err());

        let line = [b"data: ".as_slice(), &vec![b'x'; LONGEST / 2], b"\n"].concat();
        let mut parser = Parser::default();
        assert!(parser.feed(&line).is_ok());
        assert!(parser.feed(&line).is_err());
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("data".to_owned()), Just(":".to_owned()), Just(" ".to_owned()),
                    Just("\r".to_owned()), Just("\n".to_owned()), Just("\r\n".to_owned()),
                    Just("\n\n".to_owned()), Just("data: ".to_owned()),
                    Just("\u{feff}".to_owned()), "[a-zé€😀]{0,4}",
                ],
                0..40,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let text = parts.concat();
            let bytes = text.as_bytes();
            let mut ends: Vec<_> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let mut start = 0;
            let cut: Vec<_> = ends
                .into_iter()
                .map(|end| &bytes[std::mem::replace(&mut start, end)..end])
                .collect();
            prop_assert_eq!(pieces(&cut), whole(bytes));
            let single: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(pieces(&single), whole(bytes));
        }

        #[test]
        fn what_was_framed_comes_out(
            events in prop::collection::vec("[ -~é€😀]{0,20}(\n[ -~é€😀]{0,20}){0,3}", 0..8),
            end in prop_oneof![Just("\n"), Just("\r"), Just("\r\n")],
        ) {
            let mut text = String::new();
            for event in &events {
                for line in event.split('\n') {
                    text.push_str("data: ");
                    text.push_str(line);
                    text.push_str(end);
                }
                text.push_str(end);
            }
            prop_assert_eq!(whole(text.as_bytes()), events);
        }
    }
}
