//! Texts made of other texts by a few changes: words, numbers, lines and brackets are moved, doubled, lost and mixed, so
//! that most of the structure stays. From one seed always the same.

/// What tends to be wrong with what people write.
const ODD: &[&str] = &[
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "9223372036854775808",
    "9007199254740993",
    "-9223372036854775808",
    "1e308",
    "1e-9",
    "0.1",
    "NaN",
    "Infinity",
    "null",
    "true",
    "false",
    "~",
    "\"\"",
    "''",
    "[]",
    "{}",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "𝕏",
    "\t",
    "\r\n",
    "---",
    "...",
    "&a",
    "*a",
    "<<: *a",
    "!!binary",
    "|",
    ">-",
    "#",
    "//",
    "/*",
    "\\",
    "\\u0000",
    "%00",
    "../..",
    "forbid",
    "permit",
    "when",
    "unless",
    "has",
    "like",
    "in",
    "&&",
    "||",
    "!",
    "==",
    "args",
    "context",
    "principal",
    "action",
    "resource",
    "@id(\"a\")",
    "@obligation(\"approval:a\")",
    "if true then true else false",
    "::",
    "?principal",
    ".startsWith(\"\")",
    "[0]",
    "[-1]",
    "- ",
    ": ",
];

/// Makes inputs.
pub(crate) struct Mutator {
    state: u64,
    seeds: Vec<Vec<String>>,
    /// How many of them were given; those that come to be kept take turns behind them.
    given: usize,
}

/// The most inputs that are kept beside those that were given.
const KEPT: usize = 200;

impl Mutator {
    pub(crate) fn new(seed: u64, seeds: &[String]) -> Mutator {
        Mutator { state: seed, seeds: seeds.iter().map(|text| words(text)).collect(), given: seeds.len() }
    }

    /// A number below this one (SplitMix64).
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most.max(1) as u64) as usize
    }

    /// An input that was taken is worth more changes.
    pub(crate) fn keep(&mut self, text: &str) {
        if text.len() > 20_000 {
            return;
        }
        let made = words(text);
        if self.seeds.len() < self.given + KEPT {
            self.seeds.push(made);
        } else {
            let at = self.given + self.below(KEPT);
            self.seeds[at] = made;
        }
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> String {
        let at = self.below(self.seeds.len());
        let mut made = self.seeds[at].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut made);
        }
        made.concat()
    }

    fn change(&mut self, made: &mut Vec<String>) {
        if made.is_empty() {
            made.push(ODD[self.below(ODD.len())].to_owned());
            return;
        }
        let at = self.below(made.len());
        let to = (at + 1 + self.below(8)).min(made.len());
        match self.below(12) {
            0 => drop(made.drain(at..to)),
            1 => {
                let again = made[at..to].to_vec();
                made.splice(at..at, again);
            }
            2 => {
                let other = self.below(made.len());
                made.swap(at, other);
            }
            3 | 4 => made[at] = ODD[self.below(ODD.len())].to_owned(),
            5 => made.insert(at, ODD[self.below(ODD.len())].to_owned()),
            6 | 7 => {
                let seed = self.below(self.seeds.len());
                let other = self.seeds[seed].clone();
                let from = self.below(other.len());
                let length = 1 + self.below(20);
                let part: Vec<String> = other.into_iter().skip(from).take(length).collect();
                made.splice(at..to, part);
            }
            8 => self.letter(&mut made[at]),
            9 => self.number(made),
            10 => self.line(made),
            _ => {
                let (open, times) = (["(", "[", "{", "!", "-", "- "][self.below(6)], 1 << self.below(9));
                made.insert(at, open.repeat(times));
            }
        }
    }

    fn letter(&mut self, word: &mut String) {
        let mut letters: Vec<char> = word.chars().collect();
        if letters.is_empty() {
            return;
        }
        let at = self.below(letters.len());
        letters[at] = char::from_u32(self.below(0x250) as u32).unwrap_or('x');
        *word = letters.into_iter().collect();
    }

    fn number(&mut self, made: &mut [String]) {
        let numbers: Vec<usize> = (0..made.len()).filter(|at| made[*at].parse::<f64>().is_ok()).collect();
        if !numbers.is_empty() {
            let at = numbers[self.below(numbers.len())];
            made[at] = ODD[self.below(15)].to_owned();
        }
    }

    /// A whole line is lost, or comes twice.
    fn line(&mut self, made: &mut Vec<String>) {
        let ends: Vec<usize> = (0..made.len()).filter(|at| made[*at].starts_with('\n')).collect();
        if ends.len() < 2 {
            return;
        }
        let at = self.below(ends.len() - 1);
        let (from, to) = (ends[at], ends[at + 1]);
        if self.below(2) == 0 {
            made.drain(from..to);
        } else {
            let again = made[from..to].to_vec();
            made.splice(from..from, again);
        }
    }
}

/// A text taken apart: words, numbers, a line's end with what it begins with, and every other character by itself.
fn words(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in text.chars() {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let joins = (word(c) && word(last))
            || (c == ' ' && (last == '\n' || (last == ' ' && all.last().is_some_and(|w| w.starts_with('\n')))));
        match all.last_mut() {
            Some(open) if joins => open.push(c),
            _ => all.push(c.to_string()),
        }
        last = c;
    }
    all
}

#[test]
fn one_seed_makes_the_same_inputs_and_another_makes_others() {
    let seeds = ["metadata: {name: a}\nspec:\n  cedar: b\n".to_owned()];
    let made = |seed| {
        let mut mutator = Mutator::new(seed, &seeds);
        (0..50).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
    assert_eq!(words(&seeds[0]).concat(), seeds[0]);
}
