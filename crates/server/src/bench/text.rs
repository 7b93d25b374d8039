//! Text to measure with: varied as what people and tools really say, and the same for the same seed. Neither random
//! bytes nor one repeated string: both would make compression look other than it is.

use std::sync::Arc;

/// Words of business English, the commonest first.
const WORDS: &str = "\
the to of and a in is for on that with this be are as by it from at or an was we not will have has which been their \
can all invoice payment order account amount customer vendor date number your our they per were but if more other \
would after before between total open due balance ledger entry report month period company contract price delivery \
item line tax credit debit note bank transfer reference approved rejected pending partial difference matched missing \
please check found review sent received confirmed expected because however therefore although while since until \
warehouse shipment quantity discount currency exchange rate statement reconcile clearing posted reversed duplicate \
overdue reminder terms net days week quarter year fiscal budget forecast actual variance threshold limit approval \
request response service support agent session message summary detail attachment document page table column row \
first second third last next previous current final initial original revised updated created closed opened assigned \
team manager controller supplier purchase sales department region office project task status priority urgent normal \
quality damage return refund claim dispute resolved escalated complaint feedback question answer explanation reason \
according compared against within without through during under over above below about around near almost exactly \
see show list read write compute compare calculate verify correct incorrect valid invalid complete incomplete error \
warning failure success result value field record file system server address email phone contact person name city \
street country postal code north south east west harbor river mountain bridge station market garden winter summer \
morning evening early late quickly slowly carefully probably certainly usually rarely often sometimes never always \
increase decrease change remain continue stop start wait finish deliver produce provide receive require suggest \
machine engine paper steel copper timber glass cotton chemical plastic container truck vessel freight customs duty \
insurance policy coverage premium license permit audit control risk fraud compliance regulation standard procedure \
interest principal loan mortgage asset liability equity revenue expense profit loss margin cash flow payroll salary \
bonus pension benefit employee employer hire train travel hotel flight meal receipt mileage allowance subsidy grant \
meeting agenda minutes decision action owner deadline milestone scope risk issue change release version test deploy";

/// Names of parties.
const NAMES: [&str; 12] = [
    "Harborline Freight",
    "Globex",
    "Acme",
    "Initech",
    "Northwind",
    "Fabrikam",
    "Contoso",
    "Umbra Logistics",
    "Tailspin",
    "Wingtip",
    "Lakeshore Paper",
    "Oakridge Steel",
];

/// How many texts there are to choose from. Making one takes longer than writing it to a log.
const TEXTS: usize = 4096;

/// The longest text, in bytes.
pub(crate) const LONGEST: usize = 1024;

/// A source of texts. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    numbers: Numbers,
    texts: Arc<[String]>,
}

impl Words {
    /// Of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let list: Vec<&str> = WORDS.split_whitespace().collect();
        Self::with(seed, |numbers, text| sentence(numbers, &list, text))
    }

    /// Text that no compression makes smaller than three quarters: random letters and digits.
    pub(crate) fn incompressible(seed: u64) -> Self {
        Self::with(seed, letters)
    }

    fn with(seed: u64, add: impl Fn(&mut Numbers, &mut String)) -> Self {
        let mut numbers = Numbers(seed);
        let texts = (0..TEXTS).map(|_| {
            let mut text = String::with_capacity(LONGEST + 128);
            while text.len() < LONGEST {
                add(&mut numbers, &mut text);
            }
            text
        });
        let texts = texts.collect();
        Words { numbers, texts }
    }

    /// The same texts, chosen by another seed.
    pub(crate) fn chosen_by(&self, seed: u64) -> Self {
        Words { numbers: Numbers(seed), texts: self.texts.clone() }
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.numbers.below(end)
    }

    /// A text of exactly so many bytes, [`LONGEST`] at most.
    pub(crate) fn text(&mut self, bytes: usize) -> &str {
        &self.texts[self.numbers.below(TEXTS)][..bytes.min(LONGEST)]
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
#[derive(Debug, Clone)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn letters(numbers: &mut Numbers, text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let number = numbers.next();
    text.extend((0..10).map(|at| char::from(LETTERS[(number >> (6 * at)) as usize & 63])));
}

fn sentence(numbers: &mut Numbers, list: &[&str], text: &mut String) {
    for at in 0..6 + numbers.below(12) {
        let word = word(numbers, list);
        if at == 0 {
            let (first, rest) = word.split_at(1);
            text.push_str(&first.to_uppercase());
            text.push_str(rest);
        } else {
            text.push(' ');
            text.push_str(&word);
        }
    }
    text.push_str(". ");
}

/// Common words are common: the square root of an even chance. One in nine says what hardly any other text says.
fn word(numbers: &mut Numbers, list: &[&str]) -> String {
    match numbers.below(54) {
        0 | 1 => format!("INV-{:04}", numbers.below(9000) + 1000),
        2 | 3 => format!("{}.{:02}", numbers.below(20_000), numbers.below(100)),
        4 => format!("2026-{:02}-{:02}", numbers.below(12) + 1, numbers.below(28) + 1),
        5 => NAMES[numbers.below(NAMES.len())].to_owned(),
        _ => {
            let length = list.len();
            list[length - 1 - numbers.below(length * length).isqrt().min(length - 1)].to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn the_same_seed_says_the_same_and_another_says_something_else() {
        let (mut seven, mut again, mut eight) = (Words::of(7), Words::of(7), Words::of(8));
        let first = seven.text(1024).to_owned();
        assert_eq!(first, again.text(1024));
        assert_ne!(first, eight.text(1024));
        assert_ne!(seven.chosen_by(8).text(1024), seven.chosen_by(9).text(1024));
        assert_eq!(Words::incompressible(7).text(100).len(), 100);
    }
}
