//! Grapheme clusters: what a person sees as one character, which the segment count never splits. The rules are
//! those of the library under Twilio's segment calculator (Unicode 10.0, UAX #29, with that library's habits,
//! each marked), because the counts must be equal to Twilio's; newer Unicode would count some emoji differently.

use super::grapheme_table::CLASSES;

/// Grapheme_Cluster_Break, Unicode 10.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Other,
    Cr,
    Lf,
    Control,
    Extend,
    RegionalIndicator,
    SpacingMark,
    Prepend,
    L,
    V,
    T,
    Lv,
    Lvt,
    Zwj,
    EBase,
    EModifier,
    GlueAfterZwj,
    EBaseGaz,
}

use Class::{
    Control, Cr, EBase, EBaseGaz, EModifier, Extend, GlueAfterZwj, L, Lf, Lv, Lvt, Other, Prepend,
    RegionalIndicator, SpacingMark, T, V, Zwj,
};

/// Cuts `text` between grapheme clusters. CR LF is two: Twilio's calculator counts it so.
pub(super) fn graphemes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices();
        let (_, first) = characters.next()?;
        let mut cluster = Cluster::start(class(first));
        let end = characters
            .find_map(|(at, c)| {
                let next = class(c);
                if cluster.ends_before(next) {
                    return Some(at);
                }
                cluster.push(next);
                None
            })
            .unwrap_or(rest.len());
        let (grapheme, after) = rest.split_at(end);
        rest = after;
        Some(grapheme)
    })
}

/// What the rules need to know of a cluster so far.
struct Cluster {
    first: Class,
    last: Class,
    before_last: Option<Class>,
    /// Everything after the first is Extend.
    only_extend: bool,
    has_extend: bool,
    /// A regional indicator follows the first character at once.
    flag: bool,
    /// A regional indicator follows somewhere.
    has_indicator: bool,
}

impl Cluster {
    fn start(first: Class) -> Self {
        Self {
            first,
            last: first,
            before_last: None,
            only_extend: true,
            has_extend: first == Extend,
            flag: false,
            has_indicator: false,
        }
    }

    fn push(&mut self, next: Class) {
        if next == RegionalIndicator {
            self.flag |= self.before_last.is_none();
            self.has_indicator = true;
        }
        self.only_extend &= next == Extend;
        self.has_extend |= next == Extend;
        self.before_last = Some(self.last);
        self.last = next;
    }

    /// UAX #29 GB3 to GB999.
    fn ends_before(&self, next: Class) -> bool {
        if self.habit(next) {
            return true;
        }
        match (self.last, next) {
            // GB4, GB5; GB3 would keep CR LF together.
            (Cr | Lf | Control, _) | (_, Cr | Lf | Control) => true,
            // GB6 to GB8.
            (L, L | V | Lv | Lvt) | (Lv | V, V | T) | (Lvt | T, T) => false,
            // GB9, GB9a, GB9b.
            (_, Extend | Zwj | SpacingMark) | (Prepend, _) => false,
            // GB10, GB11.
            (_, EModifier) if self.takes_modifier() => false,
            (Zwj, GlueAfterZwj | EBaseGaz) => false,
            // GB12, GB13.
            (RegionalIndicator, RegionalIndicator) => self.has_indicator,
            _ => true,
        }
    }

    /// Where the library ends a cluster that the rules would go on with: a modifier after Extends on a character
    /// that takes none, and anything after a flag that was extended once.
    fn habit(&self, next: Class) -> bool {
        let modifier = next == EModifier
            && self.before_last.is_some()
            && self.only_extend
            && !matches!(self.first, Extend | EBase | EBaseGaz);
        let after_flag = self.flag && !matches!(self.last, Prepend | RegionalIndicator);
        let indicator = next == RegionalIndicator
            && self.before_last.is_none()
            && !matches!(self.first, Prepend | RegionalIndicator);
        modifier || after_flag || indicator
    }

    /// An emoji that takes a skin tone, with one Extend between at most (a habit: the rule allows any number).
    fn takes_modifier(&self) -> bool {
        let base = match (self.has_extend, self.last) {
            (false, last) => Some(last),
            (true, Extend) => self.before_last,
            (true, _) => None,
        };
        matches!(base, Some(EBase | EBaseGaz))
    }
}

fn class(c: char) -> Class {
    // All of ASCII that is not a control.
    if (' '..='~').contains(&c) {
        return Other;
    }
    let code = u32::from(c);
    if (0xAC00..=0xD7A3).contains(&code) {
        return if (code - 0xAC00).is_multiple_of(28) { Lv } else { Lvt };
    }
    let at = CLASSES.partition_point(|&(_, last, _)| last < code);
    match CLASSES.get(at) {
        Some(&(first, _, class)) if first <= code => class,
        _ => Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        graphemes(text).collect()
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(CLASSES.iter().all(|(first, last, _)| first <= last));
        assert!(CLASSES.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn what_looks_like_one_character_is_one() {
        assert_eq!(cut("e\u{301}a"), ["e\u{301}", "a"]);
        assert_eq!(cut("👨‍👩‍👧‍👦👍🏽"), ["👨‍👩‍👧‍👦", "👍🏽"]);
        assert_eq!(cut("🇺🇸🇩🇪🇫"), ["🇺🇸", "🇩🇪", "🇫"]);
        assert_eq!(cut("각각"), ["각", "각"]);
        assert_eq!(cut("a\r\nb"), ["a", "\r", "\n", "b"]);
        assert_eq!(cut(""), [""; 0]);
    }
}
