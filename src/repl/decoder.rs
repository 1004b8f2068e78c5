//! Takes a target's output apart: text, messages of the link, and the end mark of the raw REPL.

/// The longest message of the link, in bytes. What is longer is taken for text.
const LONGEST: usize = 8 << 10;

/// What is no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A message of the link, without its marker and line end.
    Message(Vec<u8>),
    /// Ctrl-D, which ends a text of the raw REPL.
    End,
}

/// How line ends are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// As the target sends them, CR LF.
    Verbatim,
    /// CR LF as LF: what MicroPython's `stdout_helpers.c` adds is taken away again.
    Plain,
}

/// The decoder's state between two bytes.
#[derive(Debug)]
pub(super) struct Decoder {
    marker: Vec<u8>,
    matched: usize,
    message: Option<Vec<u8>>,
    lines: Lines,
    carriage: bool,
    /// Whether Ctrl-D is an end mark. Between the link's first and last message of a program it is text.
    pub(super) ends: bool,
}

impl Decoder {
    /// A decoder for messages that begin with `marker`, whose first byte must not occur in it again.
    pub(super) fn new(marker: &[u8], lines: Lines, ends: bool) -> Decoder {
        Decoder { marker: marker.to_vec(), matched: 0, message: None, lines, carriage: false, ends }
    }

    /// Takes one byte; text is appended to `text`.
    pub(super) fn push(&mut self, byte: u8, text: &mut Vec<u8>) -> Option<Event> {
        if let Some(message) = &mut self.message {
            message.push(byte);
            return self.message_end(byte, text);
        }
        if self.marker.get(self.matched) == Some(&byte) {
            self.matched += 1;
            if self.matched == self.marker.len() {
                self.matched = 0;
                self.message = Some(Vec::new());
            }
            return None;
        }
        if self.matched > 0 {
            self.give_back(text);
            return self.push(byte, text);
        }
        if byte == 4 && self.ends {
            self.flush(text);
            return Some(Event::End);
        }
        self.emit(byte, text);
        None
    }

    /// Passes on what was held back because more was expected.
    pub(super) fn flush(&mut self, text: &mut Vec<u8>) {
        self.give_back(text);
        if std::mem::take(&mut self.carriage) {
            text.push(b'\r');
        }
    }

    fn message_end(&mut self, byte: u8, text: &mut Vec<u8>) -> Option<Event> {
        let length = self.message.as_ref().map_or(0, Vec::len);
        if byte != b'\n' && length < LONGEST {
            return None;
        }
        let mut message = self.message.take()?;
        if byte != b'\n' {
            self.matched = self.marker.len();
            self.give_back(text);
            message.into_iter().for_each(|byte| self.emit(byte, text));
            return None;
        }
        message.pop();
        if message.last() == Some(&b'\r') {
            message.pop();
        }
        Some(Event::Message(message))
    }

    /// What looked like a marker was text.
    fn give_back(&mut self, text: &mut Vec<u8>) {
        let matched = std::mem::take(&mut self.matched);
        let marker = std::mem::take(&mut self.marker);
        marker.iter().take(matched).for_each(|byte| self.emit(*byte, text));
        self.marker = marker;
    }

    fn emit(&mut self, byte: u8, text: &mut Vec<u8>) {
        if self.lines == Lines::Verbatim {
            text.push(byte);
            return;
        }
        if std::mem::take(&mut self.carriage) && byte != b'\n' {
            text.push(b'\r');
        }
        if byte == b'\r' {
            self.carriage = true;
        } else {
            text.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(lines: Lines, ends: bool, input: &[u8]) -> (Vec<u8>, Vec<Event>) {
        let mut decoder = Decoder::new(b"\x1ekey", lines, ends);
        let (mut text, mut events) = (Vec::new(), Vec::new());
        for byte in input {
            events.extend(decoder.push(*byte, &mut text));
        }
        decoder.flush(&mut text);
        (text, events)
    }

    #[test]
    fn messages_are_taken_out_of_text() {
        let (text, events) = decode(Lines::Plain, true, b"a\r\n\x1ekey1 stat x\r\nb\x04");
        assert_eq!(text, b"a\nb");
        assert_eq!(events, [Event::Message(b"1 stat x".to_vec()), Event::End]);
    }

    #[test]
    fn text_that_resembles_a_marker_passes_untouched() {
        for input in [&b"\x1e"[..], b"\x1eke", b"\x1ekex", b"\x1e\x1ekex", b"x\x1ek\x1ek\x1e"] {
            assert_eq!(decode(Lines::Plain, true, input), (input.to_vec(), vec![]));
        }
        let (text, events) = decode(Lines::Plain, true, b"\x1ek\x1ekeym\n");
        assert_eq!((text, events), (b"\x1ek".to_vec(), vec![Event::Message(b"m".to_vec())]));
    }

    #[test]
    fn an_endless_message_is_text() {
        let mut input = b"\x1ekey".to_vec();
        input.resize(LONGEST + 100, b'z');
        assert_eq!(decode(Lines::Plain, true, &input), (input.clone(), vec![]));
    }

    #[test]
    fn carriage_returns_stay_unless_a_line_feed_follows() {
        let (text, _) = decode(Lines::Plain, true, b"50%\r100%\r\r\nend\r");
        assert_eq!(text, b"50%\r100%\r\nend\r");
        let (text, _) = decode(Lines::Verbatim, true, b"a\r\nb\r");
        assert_eq!(text, b"a\r\nb\r");
    }

    #[test]
    fn ctrl_d_is_text_while_it_does_not_end() {
        assert_eq!(decode(Lines::Plain, false, b"a\x04b"), (b"a\x04b".to_vec(), vec![]));
    }
}
