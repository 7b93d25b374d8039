//! A session as it goes: server-sent events (WHATWG HTML, section 9.2), as far as the server uses them.

use crate::client::Outcome;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Some more words of the model.
    Words(String),
    /// A record was committed: a step is over.
    Step,
    /// Something was missed.
    Behind,
}

/// An open stream.
pub(crate) struct Stream {
    response: reqwest::Response,
    text: Reader,
}

impl Stream {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Stream { response, text: Reader::default() }
    }

    /// What is heard next; `None`: the server has no more to say.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Heard>> {
        loop {
            if let Some(heard) = self.text.next() {
                return Ok(Some(heard));
            }
            match self.response.chunk().await? {
                Some(bytes) => self.text.bytes.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Events out of the bytes that came so far.
#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    fn next(&mut self) -> Option<Heard> {
        loop {
            let end = self.bytes.windows(2).position(|pair| pair == b"\n\n")?;
            let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
            if let Some(heard) = heard(&String::from_utf8_lossy(&event)) {
                return Some(heard);
            }
        }
    }
}

/// One event; `None` for what keeps a connection alive.
fn heard(event: &str) -> Option<Heard> {
    let (mut kind, mut data) = ("", Vec::new());
    for line in event.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => kind = value,
            "data" => data.push(value),
            _ => {}
        }
    }
    match kind {
        "delta" => Some(Heard::Words(data.join("\n"))),
        "committed" => Some(Heard::Step),
        "behind" => Some(Heard::Behind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_their_bytes_arrive() {
        let sent =
            ":\n\nevent: delta\ndata: one\ndata:  two \n\nevent: committed\ndata: 4\n\nevent: behind\ndata: 7\n\n";
        let mut reader = Reader::default();
        let mut all = Vec::new();
        for byte in sent.bytes() {
            reader.bytes.push(byte);
            all.extend(reader.next());
        }
        assert_eq!(all, [Heard::Words("one\n two ".to_owned()), Heard::Step, Heard::Behind]);
        assert_eq!(reader.next(), None);
    }
}
