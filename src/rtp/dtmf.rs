//! Keys as they sound (ITU-T Q.23): made, and heard in speech by the rules of Q.24. For lines that know no
//! telephone-event; where they do, `event` hears keys better and cheaper.

use crate::rtp::codec::Rate;
use crate::rtp::tones::ToneSource;
use crate::types::Dtmf;

/// Q.23: rows of the keypad.
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// Q.23: columns.
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYPAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Samples at 8,000 Hz that are judged together: 12.75 ms. Two such blocks lie in every tone of 40 ms, which Q.24
/// wants heard, and in none of 25 ms.
const BLOCK: usize = 102;
/// Each of both tones is at least this loud: -32 dBm0.
const FAINTEST: f32 = -38.0;
/// A column may be 8 dB louder than the row, as lines swallow high tones and keypads make up for it.
const TWIST: f32 = 6.31;
/// A row may be 4 dB louder than the column.
const REVERSE_TWIST: f32 = 2.51;
/// Others of the same group are at least 8 dB fainter.
const ALONE: f32 = 6.31;
/// So much of all that is heard is in the two tones: what speech does not reach.
const SHARE: f32 = 0.8;

/// The two frequencies of a key.
#[must_use]
pub fn frequencies(key: Dtmf) -> [f32; 2] {
    for (row, keys) in ROWS.iter().zip(KEYPAD) {
        for (column, letter) in COLUMNS.iter().zip(keys) {
            if letter == key.as_char() {
                return [*row, *column];
            }
        }
    }
    [0.0, 0.0]
}

/// Plays one key and the pause behind it.
#[derive(Clone, Debug)]
pub struct KeyPlayer {
    source: ToneSource,
    on: usize,
    off: usize,
}

impl KeyPlayer {
    /// `level` is that of each tone, in dBov; -13 is usual, and the column gets 2 dB more. Times in milliseconds:
    /// 100 and 100 are heard everywhere.
    #[must_use]
    pub fn new(key: Dtmf, level: f32, on: usize, off: usize, rate: Rate) -> Self {
        let milli = rate.per_milli();
        Self { source: ToneSource::new(&frequencies(key), level, rate), on: on * milli, off: off * milli }
    }

    /// Returns how many samples were written: fewer than there is room for at the end of the pause.
    pub fn fill(&mut self, out: &mut [i16]) -> usize {
        let sounding = self.on.min(out.len());
        let (tone, rest) = out.split_at_mut(sounding);
        self.source.fill(tone);
        let silent = self.off.min(rest.len());
        rest.iter_mut().take(silent).for_each(|s| *s = 0);
        self.on -= sounding;
        if self.on == 0 {
            self.off -= silent;
        }
        sounding + silent
    }
}

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySound {
    /// A key sounds.
    Begins(Dtmf),
    /// It sounded for about so many milliseconds.
    Ends(Dtmf, u32),
}

/// Hears keys in one stream.
#[derive(Clone, Debug)]
pub struct KeyListener {
    turns: [f32; 8],
    block: [f32; 2 * BLOCK],
    size: usize,
    filled: usize,
    /// What the last block was.
    last: Option<Dtmf>,
    sounding: Option<Dtmf>,
    blocks: u32,
    misses: u32,
}

impl KeyListener {
    /// For samples of one rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let mut turns = [0.0; 8];
        for (turn, hertz) in turns.iter_mut().zip(ROWS.iter().chain(&COLUMNS)) {
            *turn = 2.0
                * (std::f32::consts::TAU * hertz / if rate == Rate::Wide { 16_000.0 } else { 8000.0 }).cos();
        }
        let size = BLOCK * rate.per_milli() / 8;
        Self {
            turns,
            block: [0.0; 2 * BLOCK],
            size,
            filled: 0,
            last: None,
            sounding: None,
            blocks: 0,
            misses: 0,
        }
    }

    /// The key that sounds.
    #[must_use]
    pub fn sounding(&self) -> Option<Dtmf> {
        self.sounding
    }

    /// Listens to samples and tells `notice` of keys.
    pub fn listen(&mut self, samples: &[i16], mut notice: impl FnMut(KeySound)) {
        for sample in samples {
            if let Some(place) = self.block.get_mut(self.filled) {
                *place = f32::from(*sample) / 32_768.0;
            }
            self.filled += 1;
            if self.filled == self.size {
                self.filled = 0;
                let key = self.judge();
                self.follow(key, &mut notice);
            }
        }
    }

    /// Two blocks alike begin a key; two that are not end it.
    fn follow(&mut self, key: Option<Dtmf>, notice: &mut impl FnMut(KeySound)) {
        let before = std::mem::replace(&mut self.last, key);
        if let Some(sounding) = self.sounding {
            self.blocks += 1;
            self.misses = if key == Some(sounding) { 0 } else { self.misses + 1 };
            if self.misses < 2 {
                return;
            }
            self.sounding = None;
            notice(KeySound::Ends(sounding, (self.blocks - self.misses) * 51 / 4));
        }
        if let Some(key) = key.filter(|_| key == before) {
            (self.sounding, self.blocks, self.misses) = (Some(key), 2, 0);
            notice(KeySound::Begins(key));
        }
    }

    /// The key of one block, by all rules but duration.
    fn judge(&self) -> Option<Dtmf> {
        let block = self.block.get(..self.size)?;
        let total: f32 = block.iter().map(|s| s * s).sum();
        let size = f32::from(u16::try_from(self.size).ok()?);
        let faintest = 10f32.powf(FAINTEST / 10.0);
        // Two tones that are each too faint: the usual block, soon done with.
        if total < size * faintest {
            return None;
        }
        // Scaled to the mean power of a sine of that frequency.
        let powers = goertzel(block, &self.turns).map(|power| power * 2.0 / (size * size));
        let (rows, columns) = powers.split_at(4);
        let (row, row_power) = loudest(rows)?;
        let (column, column_power) = loudest(columns)?;
        let loud = row_power > faintest && column_power > faintest;
        let even = column_power < row_power * TWIST && row_power < column_power * REVERSE_TWIST;
        let pure = (row_power + column_power) * size > SHARE * total;
        let key = KEYPAD.get(row)?.get(column)?;
        Dtmf::try_from(*key).ok().filter(|_| loud && even && pure)
    }
}

/// The loudest of a group, if it stands out.
fn loudest(group: &[f32]) -> Option<(usize, f32)> {
    let (at, power) = group.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let alone = group.iter().enumerate().all(|(n, other)| n == at || other * ALONE < power);
    alone.then_some((at, power))
}

/// Squared magnitudes at eight frequencies: side by side, so that the processor does them at once.
fn goertzel(block: &[f32], turns: &[f32; 8]) -> [f32; 8] {
    let (mut last, mut before) = ([0.0f32; 8], [0.0f32; 8]);
    for sample in block {
        for ((last, before), turn) in last.iter_mut().zip(&mut before).zip(turns) {
            let value = turn * *last + (sample - *before);
            (*before, *last) = (*last, value);
        }
    }
    let mut powers = [0.0; 8];
    for ((power, turn), (last, before)) in powers.iter_mut().zip(turns).zip(last.iter().zip(&before)) {
        *power = last * last + before * before - turn * last * before;
    }
    powers
}

#[cfg(test)]
#[path = "dtmf_tests.rs"]
mod tests;
