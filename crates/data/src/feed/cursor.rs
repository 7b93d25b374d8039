//! Where a follower of the feed is: a position per shard, in one opaque word. Small where there are few shards.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{Pos, Shard};

/// The first byte of a cursor: how the rest is written.
const VERSION: u8 = 1;

/// A position per shard of one store; a shard that is not named is at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last four bytes of the store's id: a cursor means nothing in another store.
    store: u32,
    at: BTreeMap<Shard, Pos>,
}

impl Cursor {
    /// Before everything, in the store with this id.
    pub fn start(store: u128) -> Cursor {
        Cursor { store: mark(store), at: BTreeMap::new() }
    }

    /// The same store, at these positions.
    #[must_use]
    pub fn at(self, positions: impl IntoIterator<Item = (Shard, Pos)>) -> Cursor {
        Cursor { at: positions.into_iter().filter(|(_, pos)| *pos > Pos(0)).collect(), ..self }
    }

    /// Whether it is of the store with this id.
    pub fn is_of(&self, store: u128) -> bool {
        self.store == mark(store)
    }

    /// How far it is in a shard; 0: before the first record.
    pub fn pos(&self, shard: Shard) -> Pos {
        self.at.get(&shard).copied().unwrap_or_default()
    }

    /// Every shard that it is beyond the beginning of.
    pub fn positions(&self) -> impl Iterator<Item = (Shard, Pos)> {
        self.at.iter().map(|(shard, pos)| (*shard, *pos))
    }

    /// Goes on to a position of a shard.
    pub fn reach(&mut self, shard: Shard, pos: Pos) {
        if pos > Pos(0) {
            self.at.insert(shard, pos);
        }
    }
}

fn mark(store: u128) -> u32 {
    u32::try_from(store & u128::from(u32::MAX)).expect("four bytes were kept")
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend(self.store.to_be_bytes());
        for (shard, pos) in &self.at {
            put(&mut bytes, u64::from(shard.0));
            put(&mut bytes, pos.0);
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{:?} is no cursor of the feed", text.chars().take(80).collect::<String>());
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let (head, mut rest) = bytes.split_first_chunk::<5>().ok_or_else(wrong)?;
        let [version, store @ ..] = *head;
        if version != VERSION {
            return Err(wrong());
        }
        let mut at = BTreeMap::new();
        while !rest.is_empty() {
            let shard = take(&mut rest).and_then(|shard| u16::try_from(shard).ok()).ok_or_else(wrong)?;
            at.insert(Shard(shard), Pos(take(&mut rest).ok_or_else(wrong)?));
        }
        Ok(Cursor { store: u32::from_be_bytes(store), at })
    }
}

/// Seven bits a byte, the low ones first (LEB128).
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Pos, Shard};

    #[test]
    fn a_cursor_prints_and_parses_back_and_is_small_where_there_is_one_shard() {
        let start = Cursor::start(7);
        let embedded = start.clone().at([(Shard(0), Pos(1_234_567)), (Shard::CONTROL, Pos(90))]);
        let many = start.clone().at((0..256).map(|shard| (Shard(shard), Pos(1_000_000 + u64::from(shard)))));
        for cursor in [start, embedded.clone(), many] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        assert!(embedded.to_string().len() <= 20, "{embedded}");
    }

    #[test]
    fn what_is_no_cursor_is_refused_and_so_is_half_of_one() {
        let whole = Cursor::start(7).at([(Shard(3), Pos(300))]).to_string();
        for wrong in ["", "AQ", "rubbish!", "_____w", &whole[..whole.len() - 1]] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_knows_its_store_and_goes_on() {
        let mut cursor = Cursor::start(u128::MAX - 4);
        assert!(cursor.is_of(u128::MAX - 4) && !cursor.is_of(5));
        cursor.reach(Shard(2), Pos(9));
        assert_eq!((cursor.pos(Shard(2)), cursor.pos(Shard(1))), (Pos(9), Pos(0)));
    }
}
