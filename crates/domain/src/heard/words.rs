//! Texts of one kind of source, indexed so that a value is looked up without reading them again. Bounded: what comes
//! after the bound is not in it, and so vouches for nothing.

use std::collections::{BTreeSet, HashMap};

use super::token::{Day, Token, tokens};

/// How many tokens are kept.
const MAX_TOKENS: usize = 200_000;

/// How many words in a row make a text one that repeats another.
const RUN: usize = 4;

/// What stands between two texts: no value goes across it.
const GAP: u32 = u32::MAX;

/// What was said by one kind of source.
#[derive(Debug, Clone, Default)]
pub struct Words {
    ids: HashMap<Token, u32>,
    said: Vec<u32>,
    places: Vec<Vec<u32>>,
    days: BTreeSet<Day>,
}

impl Words {
    /// Of one text.
    pub fn of(text: &str) -> Self {
        let mut words = Words::default();
        words.add(text);
        words
    }

    /// Adds a text.
    pub fn add(&mut self, text: &str) {
        self.add_but(&tokens(text), &[]);
    }

    /// Adds what a text says, but for these values where they stand in it.
    pub fn add_but(&mut self, text: &[Token], but: &[Vec<Token>]) {
        let mut at = 0;
        while at < text.len() && self.said.len() < MAX_TOKENS {
            let skipped =
                but.iter().filter(|value| !value.is_empty() && text[at..].starts_with(value)).map(Vec::len).max();
            match skipped {
                Some(length) => {
                    self.said.push(GAP);
                    at += length;
                }
                None => {
                    self.push(&text[at]);
                    at += 1;
                }
            }
        }
        self.said.push(GAP);
    }

    fn push(&mut self, token: &Token) {
        let id = match self.ids.get(token) {
            Some(id) => *id,
            None => {
                let id = self.places.len() as u32;
                self.ids.insert(token.clone(), id);
                self.places.push(Vec::new());
                id
            }
        };
        if let Token::Day(day) = token {
            self.days.insert(*day);
        }
        self.places[id as usize].push(self.said.len() as u32);
        self.said.push(id);
    }

    /// Whether a value was said, from its first token to its last. A day counts in any notation.
    pub fn say(&self, value: &[Token]) -> bool {
        if let [Token::Day(day)] = value {
            return self.days.iter().any(|said| said.fits(*day));
        }
        let ids: Option<Vec<u32>> = value.iter().map(|token| self.ids.get(token).copied()).collect();
        let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { return false };
        let rarest = (0..ids.len()).min_by_key(|at| self.places[ids[*at] as usize].len()).unwrap_or(0);
        self.places[ids[rarest] as usize].iter().any(|place| {
            let from = (*place as usize).checked_sub(rarest);
            from.is_some_and(|from| self.said.get(from..from + ids.len()) == Some(ids.as_slice()))
        })
    }

    /// Whether a text repeats some words in a row of what was said.
    pub fn share_a_run(&self, text: &[Token]) -> bool {
        text.windows(RUN).any(|run| self.say(run))
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::{MAX_TOKENS, Words};

    #[test]
    fn a_value_is_found_whole_and_nowhere_across_texts() {
        let mut words = Words::of("Book 'Le Marais Boutique' for Bob, from January 11th to the 15th of January 2025");
        words.add("at 12.50 each");
        for said in ["le marais boutique", "Bob", "2025-01-11", "2025-01-15", "2031-01-11", "12.5"] {
            assert!(words.say(&super::super::token::value_tokens(&said.into())), "{said}");
        }
        for unsaid in ["Marais Boutique Hotel", "bobby", "2025-01-12", "2024-01-15", "2025 at", "12", "", "50"] {
            assert!(!words.say(&super::super::token::value_tokens(&unsaid.into())), "{unsaid}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_text_is_not_said_by_it() {
        let mut words = Words::default();
        words.add_but(&tokens("no contact eve@x.example, but bob@x.example"), &[tokens("eve@x.example")]);
        assert!(words.say(&tokens("bob@x.example")) && !words.say(&tokens("eve@x.example")));
        assert!(!words.say(&tokens("contact but")), "nor does it close the gap");
    }

    #[test]
    fn a_text_that_repeats_words_in_a_row_is_known() {
        let words = Words::of("reply there that you've seen it in the meeting room");
        assert!(words.share_a_run(&tokens("I've seen it in the meeting room!")));
        assert!(!words.share_a_run(&tokens("seen in the room")));
    }

    #[test]
    fn what_comes_after_the_bound_vouches_for_nothing() {
        let mut words = Words::default();
        for _ in 0..=MAX_TOKENS / 1000 {
            words.add(&"a ".repeat(1000));
        }
        words.add("late");
        assert!(words.say(&tokens("a a")) && !words.say(&tokens("late")));
    }
}
