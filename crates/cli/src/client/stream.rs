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

/// One event of any stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its kind.
    pub kind: String,
    /// Where to come back to, where it says so.
    pub id: Option<String>,
    /// What it says.
    pub data: String,
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
        while let Some(told) = self.told().await? {
            if let Some(heard) = heard(told) {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    /// The next event, whatever it is; `None`: the server has no more to say.
    pub(crate) async fn told(&mut self) -> Outcome<Option<Told>> {
        loop {
            if let Some(told) = self.text.next() {
                return Ok(Some(told));
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
    /// Up to where there is no end of an event.
    looked: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Told> {
        let ends = |pair: &[u8]| pair == b"\n\n";
        let Some(end) = self.bytes[self.looked..].windows(2).position(ends) else {
            self.looked = self.bytes.len().saturating_sub(1);
            return None;
        };
        let event: Vec<u8> = self.bytes.drain(..self.looked + end + 2).collect();
        self.looked = 0;
        Some(told(&String::from_utf8_lossy(&event)))
    }
}

fn told(event: &str) -> Told {
    let (mut told, mut data) = (Told::default(), Vec::new());
    for line in event.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => told.kind = value.to_owned(),
            "id" => told.id = Some(value.to_owned()),
            "data" => data.push(value),
            _ => {}
        }
    }
    told.data = data.join("\n");
    told
}

/// What a session's stream says; `None` for what keeps a connection alive.
fn heard(told: Told) -> Option<Heard> {
    match told.kind.as_str() {
        "delta" => Some(Heard::Words(told.data)),
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
        let sent = ":\n\nevent: delta\ndata: one\ndata:  two \n\nevent: committed\nid: 9\ndata: 4\n\nevent: behind\ndata: 7\n\n";
        let mut reader = Reader::default();
        let mut all = Vec::new();
        for byte in sent.bytes() {
            reader.bytes.push(byte);
            all.extend(reader.next());
        }
        assert_eq!(all[2], Told { kind: "committed".to_owned(), id: Some("9".to_owned()), data: "4".to_owned() });
        let heard: Vec<_> = all.into_iter().filter_map(heard).collect();
        assert_eq!(heard, [Heard::Words("one\n two ".to_owned()), Heard::Step, Heard::Behind]);
        assert_eq!(reader.next(), None);
    }
}
