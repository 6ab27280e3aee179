//! Mutation of good inputs into bad ones, and a watch over what they do. There is no compiler's coverage here (that
//! needs a nightly toolchain): a target tells in a number how it behaved, and an input that behaves as none did before
//! joins the corpus. Every run can be repeated from its seed.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Something that takes bytes from strangers.
pub(crate) struct Target {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// Inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// What its grammar is made of.
    pub(crate) words: &'static [&'static str],
    /// One execution; panics when something is wrong, and otherwise says how it went.
    pub(crate) run: fn(&[u8]) -> u64,
}

/// An input that must not have been possible.
pub(crate) struct Failure {
    /// The input.
    pub(crate) input: Vec<u8>,
    /// The panic's text, or that it took too long.
    pub(crate) what: String,
}

/// What a run came to.
pub(crate) struct Report {
    /// How many inputs.
    pub(crate) executions: u64,
    /// How many different behaviours.
    pub(crate) behaviours: usize,
    /// At most a handful, of different kinds.
    pub(crate) failures: Vec<Failure>,
    /// How many inputs failed.
    pub(crate) failed: u64,
    /// The longest that one input took.
    pub(crate) slowest: Duration,
}

/// When a run is over.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    /// After so many inputs: the same each time.
    #[allow(dead_code, reason = "the tests run by count, the example by time")]
    Executions(u64),
    /// After so long.
    #[allow(dead_code, reason = "the example runs by time, the tests by count")]
    Time(Duration),
}

/// The input that is being executed, and since when: for whoever watches for one that never ends.
pub(crate) static CURRENT: Mutex<Option<(Instant, Vec<u8>)>> = Mutex::new(None);

/// One input may take so long on a busy machine.
const SLOW: Duration = Duration::from_secs(2);
const LONGEST: usize = 9000;
const CORPUS: usize = 4000;
/// So many different behaviours are told apart; where there are more, nothing is new any longer.
const BEHAVIOURS: usize = 500_000;

/// Runs a target.
pub(crate) fn fuzz(target: &Target, seed: u64, budget: Budget) -> Report {
    let begun = Instant::now();
    let mut report =
        Report { executions: 0, behaviours: 0, failures: Vec::new(), failed: 0, slowest: Duration::ZERO };
    let mut dice = Dice(seed ^ hash_of(&target.name));
    let mut corpus = (target.seeds)();
    let mut seen = BTreeSet::new();
    let mut next = 0;
    loop {
        let over = match budget {
            Budget::Executions(most) => report.executions >= most,
            Budget::Time(most) => begun.elapsed() >= most,
        };
        if over {
            report.behaviours = seen.len();
            return report;
        }
        // The seeds themselves come first, as they are.
        let input = match corpus.get(next) {
            Some(whole) if next < (target.seeds)().len() => whole.clone(),
            Some(_) | None => mutate(&corpus, target.words, &mut dice),
        };
        next += 1;
        if let Some(behaviour) = execute(target, &input, &mut report)
            && seen.len() < BEHAVIOURS
            && seen.insert(behaviour)
        {
            if corpus.len() < CORPUS {
                corpus.push(input);
            } else {
                let place = dice.below(corpus.len());
                corpus[place] = input;
            }
        }
    }
}

fn execute(target: &Target, input: &[u8], report: &mut Report) -> Option<u64> {
    let begun = Instant::now();
    if let Ok(mut current) = CURRENT.lock() {
        *current = Some((begun, input.to_vec()));
    }
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = begun.elapsed();
    report.executions += 1;
    report.slowest = report.slowest.max(took);
    let what = match &result {
        Ok(_) if took < SLOW => return result.ok(),
        Ok(_) => format!("took {took:?}"),
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned()),
    };
    report.failed += 1;
    let kind = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>();
    if report.failures.len() < 8 && !report.failures.iter().any(|f| kind(&f.what) == kind(&what)) {
        report.failures.push(Failure { input: input.to_vec(), what });
    }
    None
}

/// Takes a value that had to be made and is not looked at, so that making it is not optimised away.
pub(crate) fn consider<T>(value: T) {
    std::hint::black_box(&value);
}

/// A number for how something went, from whatever shows it.
pub(crate) fn hash_of(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Chance that can be repeated (splitmix64).
#[derive(Clone)]
pub(crate) struct Dice(pub u64);

impl Dice {
    /// Any number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `bound`; 0 when that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound).unwrap_or(1).max(1)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "9",
    "10",
    "99",
    "127",
    "128",
    "255",
    "256",
    "32767",
    "32768",
    "65535",
    "65536",
    "70",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "00000000000000000001",
    "1e9",
    "0x10",
];
const MARKS: &[u8] = b"\"',;:<>()[]{}@%\\/?&= \t\r\n\0\x7f\x80\xff#*+.-~!^|";

/// Another input, made of those in the corpus.
pub(crate) fn mutate(corpus: &[Vec<u8>], words: &[&str], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = corpus.get(dice.below(corpus.len())).cloned().unwrap_or_default();
    // Mostly few changes: what is wrong in one place alone gets furthest.
    let mut changes = 1;
    while changes < 16 && dice.below(3) != 0 {
        changes += 1;
    }
    for _ in 0..changes {
        change(&mut bytes, corpus, words, dice);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let most = 1 + dice.below(40);
    let end = (at + 1 + dice.below(most)).min(bytes.len());
    let range = at.min(end)..end;
    match dice.below(15) {
        0 => replace(bytes, at, |b| b ^ (1 << (at % 8))),
        1 => {
            let byte = dice.byte();
            replace(bytes, at, |_| byte);
        }
        2 => {
            let mark = MARKS[dice.below(MARKS.len())];
            replace(bytes, at, |_| mark);
        }
        3 => bytes.insert(at, MARKS[dice.below(MARKS.len())]),
        4 => bytes.insert(at, dice.byte()),
        5 => drop(bytes.drain(range)),
        6 => {
            let copy = bytes[range].to_vec();
            let to = dice.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        7 => {
            let copy = bytes[range].to_vec();
            for _ in 0..dice.below(30) {
                bytes.splice(at..at, copy.iter().copied());
                if bytes.len() > LONGEST {
                    break;
                }
            }
        }
        8 if !words.is_empty() => {
            let word = words[dice.below(words.len())];
            bytes.splice(at..at, word.bytes());
        }
        9 if !words.is_empty() => {
            let word = words[dice.below(words.len())];
            bytes.splice(range, word.bytes());
        }
        10 => number(bytes, at, dice),
        11 | 12 => lines(bytes, corpus, dice),
        13 => bytes.truncate(at),
        _ => {
            // The front of one and the end of another.
            let other = &corpus[dice.below(corpus.len())];
            let from = dice.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn replace(bytes: &mut [u8], at: usize, with: impl FnOnce(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = with(*byte);
    }
}

/// Puts another number where the next one stands.
fn number(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let is_digit = |b: &u8| b.is_ascii_digit();
    let Some(from) = bytes.iter().skip(at).position(is_digit).map(|n| n + at) else { return };
    let length = bytes[from..].iter().take_while(|b| is_digit(b)).count();
    let number = NUMBERS[dice.below(NUMBERS.len())];
    bytes.splice(from..from + length, number.bytes());
}

/// Takes a line away, doubles it, or brings one from elsewhere.
fn lines(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let at = dice.below(lines.len());
    match dice.below(4) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let other = dice.below(lines.len());
            lines.swap(at, other);
        }
        _ => {
            let other = &corpus[dice.below(corpus.len())];
            let all: Vec<_> = other.split_inclusive(|b| *b == b'\n').collect();
            if !all.is_empty() {
                lines.insert(at, all[dice.below(all.len())].to_vec());
            }
        }
    }
    *bytes = lines.concat();
}
