//! Server-sent events (WHATWG HTML §9.2.6), parsed over bytes: a chunk may end anywhere, in the middle of a line or of
//! a character. It must not know what the events mean.

/// The longest line that is read, in bytes.
pub const LINE_LIMIT: usize = 4 << 20;
/// The longest stream that is read, in bytes.
pub const STREAM_LIMIT: usize = 64 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name; empty if the stream gave none.
    pub name: String,
    /// Its data; several lines are joined by line breaks.
    pub data: String,
    /// Where it begins, in bytes from the stream's start: comments before it are its own.
    pub at: usize,
}

/// A stream that cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line is too long.
    #[error("a line is longer than {LINE_LIMIT} bytes")]
    LongLine,
    /// The stream is too long.
    #[error("the stream is longer than {STREAM_LIMIT} bytes")]
    LongStream,
    /// A line is not text.
    #[error("a line is not UTF-8")]
    NotText,
}

/// Turns bytes into events.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    name: String,
    data: Option<String>,
    read: usize,
    /// Where the last empty line ended.
    boundary: usize,
    /// The first line, which may carry a byte order mark, was read.
    begun: bool,
}

impl SseParser {
    /// Reads on, and gives `each` the events that are complete.
    ///
    /// # Errors
    /// When a bound is passed or a line is not text; nothing can be read after that.
    pub fn push(&mut self, chunk: &[u8], each: &mut dyn FnMut(SseEvent)) -> Result<(), SseError> {
        let mut rest = chunk;
        while let Some(first) = rest.first() {
            if self.after_return && *first == b'\n' {
                self.after_return = false;
                self.step(1)?;
                self.boundary += usize::from(self.boundary + 1 == self.read);
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + piece.len() > LINE_LIMIT {
                return Err(SseError::LongLine);
            }
            self.step(piece.len())?;
            self.after_return = false;
            self.line.extend_from_slice(piece);
            let Some(end) = end else { return Ok(()) };
            self.step(1)?;
            self.after_return = rest[end] == b'\r';
            self.end_line(each)?;
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    /// Where the last complete event ended, in bytes from the stream's start.
    pub fn boundary(&self) -> usize {
        self.boundary
    }

    fn step(&mut self, bytes: usize) -> Result<(), SseError> {
        self.read = self.read.saturating_add(bytes);
        if self.read > STREAM_LIMIT { Err(SseError::LongStream) } else { Ok(()) }
    }

    /// The stream has ended. Servers exist that leave out the last empty line, so what is there counts as an event.
    ///
    /// # Errors
    /// When the last line is not text.
    pub fn finish(&mut self, each: &mut dyn FnMut(SseEvent)) -> Result<(), SseError> {
        if !self.line.is_empty() {
            self.end_line(each)?;
        }
        self.dispatch(each);
        Ok(())
    }

    fn end_line(&mut self, each: &mut dyn FnMut(SseEvent)) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseError::NotText)?;
        let line = if self.begun { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            self.dispatch(each);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // A comment (an empty field name), `id`, `retry`, or a field to ignore.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, each: &mut dyn FnMut(SseEvent)) {
        let name = std::mem::take(&mut self.name);
        let at = std::mem::replace(&mut self.boundary, self.read);
        if let Some(data) = self.data.take() {
            each(SseEvent { name, data, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_LIMIT, SseError, SseEvent, SseParser};

    fn parse(chunks: &[&[u8]]) -> Result<Vec<(String, String)>, SseError> {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let mut each = |event: SseEvent| events.push((event.name, event.data));
        for chunk in chunks {
            parser.push(chunk, &mut each)?;
        }
        parser.finish(&mut each)?;
        Ok(events)
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn every_split_of_a_stream_gives_the_same_events() {
        let stream =
            "\u{feff}: hello\r\nevent: a\r\ndata: né\r\ndata:  two\r\n\r\nid: 7\rdata:€🦀\r\revent: b\ndata\n\n";
        let expected = vec![event("a", "né\n two"), event("", "€🦀"), event("b", "")];
        for at in 0..=stream.len() {
            let (left, right) = stream.as_bytes().split_at(at);
            assert_eq!(parse(&[left, right]).unwrap(), expected, "split at {at}");
        }
        let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(parse(&single).unwrap(), expected);
    }

    #[test]
    fn whole_events_can_be_cut_out_of_the_bytes() {
        for stream in ["data: a\n\n: wait\n\ndata: b\n\ndata: c", "data: a\r\n\r\n: wait\r\n\r\ndata: b\r\n\r\ndata: c"]
        {
            for split in 0..=stream.len() {
                let (left, right) = stream.as_bytes().split_at(split);
                let (mut parser, mut starts) = (SseParser::default(), Vec::new());
                let mut each = |event: SseEvent| starts.push(event.at);
                parser.push(left, &mut each).unwrap();
                assert!(parser.boundary() <= split);
                parser.push(right, &mut each).unwrap();
                assert_eq!(&stream[parser.boundary()..], "data: c", "split at {split}");
                let first = stream[starts[1]..].trim_start();
                assert!(first.starts_with("data: b") && starts[0] == 0, "{starts:?}");
            }
        }
    }

    #[test]
    fn an_event_without_data_is_none() {
        assert_eq!(parse(&[b"event: a\n\nretry: 5\n\n"]).unwrap(), []);
    }

    #[test]
    fn a_last_event_without_its_empty_line_counts() {
        assert_eq!(parse(&[b"event: a\ndata: x"]).unwrap(), [event("a", "x")]);
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let chunk = vec![b'x'; LINE_LIMIT + 1];
        assert_eq!(parse(&[&chunk]), Err(SseError::LongLine));
    }

    #[test]
    fn a_stream_that_never_ends_is_refused() {
        let chunk = vec![b'\n'; 1 << 20];
        let chunks = vec![chunk.as_slice(); 65];
        assert_eq!(parse(&chunks), Err(SseError::LongStream));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert_eq!(parse(&[b"data: \xff\xfe\n\n"]), Err(SseError::NotText));
    }
}
