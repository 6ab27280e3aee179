//! Conditions of `split-based-on`. Studio trims both sides and ignores case; what is tested is the condition's
//! first argument, which in real exports is not always the widget's `input`.

use fancy_regex::{Expr, Regex, RegexBuilder};
use jiff::civil::{Date, Time};
use serde_json::Value;

use super::template::{Template, Templates};

/// Steps of look-around and back-reference before a pattern counts as not matching: a few milliseconds.
const BACKTRACK_LIMIT: usize = 100_000;

/// How the two sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `equal_to`
    EqualTo,
    /// `not_equal_to`
    NotEqualTo,
    /// `matches_any_of`: a comma-separated list.
    MatchesAnyOf,
    /// `does_not_match_any_of`
    DoesNotMatchAnyOf,
    /// `contains`
    Contains,
    /// `does_not_contain`
    DoesNotContain,
    /// `starts_with`
    StartsWith,
    /// `does_not_start_with`
    DoesNotStartWith,
    /// `is_blank`
    IsBlank,
    /// `is_not_blank`
    IsNotBlank,
    /// `regex`: the whole text, any case.
    Regex,
    /// `less_than`: both sides are numbers, else it does not hold.
    LessThan,
    /// `greater_than`
    GreaterThan,
    /// `is_before_date`: YYYY-MM-DD.
    IsBeforeDate,
    /// `is_after_date`
    IsAfterDate,
    /// `is_before_time`: HH:MM.
    IsBeforeTime,
    /// `is_after_time`
    IsAfterTime,
}

impl Operator {
    /// Reads a condition's `type`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "equal_to" => Self::EqualTo,
            "not_equal_to" => Self::NotEqualTo,
            "matches_any_of" => Self::MatchesAnyOf,
            "does_not_match_any_of" => Self::DoesNotMatchAnyOf,
            "contains" => Self::Contains,
            "does_not_contain" => Self::DoesNotContain,
            "starts_with" => Self::StartsWith,
            "does_not_start_with" => Self::DoesNotStartWith,
            "is_blank" => Self::IsBlank,
            "is_not_blank" => Self::IsNotBlank,
            "regex" => Self::Regex,
            "less_than" => Self::LessThan,
            "greater_than" => Self::GreaterThan,
            "is_before_date" => Self::IsBeforeDate,
            "is_after_date" => Self::IsAfterDate,
            "is_before_time" => Self::IsBeforeTime,
            "is_after_time" => Self::IsAfterTime,
            _ => return None,
        })
    }
}

/// One condition of a `match` transition.
#[derive(Clone, Debug)]
pub struct Condition {
    argument: Template,
    operator: Operator,
    operand: Template,
    /// Of a `regex` whose pattern is no Liquid: compiled once.
    pattern: Option<Regex>,
}

impl Condition {
    /// # Errors
    /// What is wrong with the operand: a pattern that does not compile, a date that is none.
    pub(crate) fn new(argument: String, operator: Operator, operand: String) -> Result<Self, String> {
        let mut pattern = None;
        if !Template::is_dynamic(&operand) {
            match operator {
                Operator::Regex => pattern = Some(compile(&operand)?),
                Operator::LessThan | Operator::GreaterThan if number(&operand).is_none() => {
                    return Err(format!("{operand:?} is no number"));
                }
                Operator::IsBeforeDate | Operator::IsAfterDate if date(&operand).is_none() => {
                    return Err(format!("{operand:?} is no date; write it as 2026-12-25"));
                }
                Operator::IsBeforeTime | Operator::IsAfterTime if time(&operand).is_none() => {
                    return Err(format!("{operand:?} is no time; write it as 17:30"));
                }
                Operator::EqualTo
                | Operator::NotEqualTo
                | Operator::MatchesAnyOf
                | Operator::DoesNotMatchAnyOf
                | Operator::Contains
                | Operator::DoesNotContain
                | Operator::StartsWith
                | Operator::DoesNotStartWith
                | Operator::IsBlank
                | Operator::IsNotBlank
                | Operator::LessThan
                | Operator::GreaterThan
                | Operator::IsBeforeDate
                | Operator::IsAfterDate
                | Operator::IsBeforeTime
                | Operator::IsAfterTime => {}
            }
        }
        Ok(Self { argument: Template::new(argument), operator, operand: Template::new(operand), pattern })
    }

    /// What the argument is held against, as it stands in the definition.
    pub(crate) fn operand(&self) -> &str {
        self.operand.source()
    }

    /// Whether it holds; `notes` hears what went wrong on the way.
    pub(crate) fn holds(&self, globals: &Value, templates: &Templates, notes: &mut Vec<String>) -> bool {
        let (left, left_notes) = self.argument.render(globals, templates);
        let (right, right_notes) = self.operand.render(globals, templates);
        notes.extend(left_notes.into_iter().chain(right_notes));
        self.compared(&left, &right).unwrap_or_else(|why| {
            notes.push(why);
            false
        })
    }

    /// # Errors
    /// Why a pattern could not be tried; it then counts as not matching.
    fn compared(&self, left: &str, right: &str) -> Result<bool, String> {
        if self.operator == Operator::Regex {
            let compiled;
            let pattern = match &self.pattern {
                Some(pattern) => pattern,
                None => {
                    compiled = compile(right)?;
                    &compiled
                }
            };
            return pattern.is_match(left.trim()).map_err(|fault| fault.to_string());
        }
        Ok(compare(self.operator, left, right))
    }
}

fn compare(operator: Operator, left: &str, right: &str) -> bool {
    let both = || (fold(left), fold(right));
    let in_list = || {
        let wanted = fold(left);
        right.split(',').any(|item| fold(item) == wanted)
    };
    match operator {
        Operator::EqualTo => both().0 == both().1,
        Operator::NotEqualTo => both().0 != both().1,
        Operator::MatchesAnyOf => in_list(),
        Operator::DoesNotMatchAnyOf => !in_list(),
        Operator::Contains => both().0.contains(&both().1),
        Operator::DoesNotContain => !both().0.contains(&both().1),
        Operator::StartsWith => both().0.starts_with(&both().1),
        Operator::DoesNotStartWith => !both().0.starts_with(&both().1),
        Operator::IsBlank => left.trim().is_empty(),
        Operator::IsNotBlank => !left.trim().is_empty(),
        Operator::LessThan => ordered(number(left), number(right), |a, b| a < b),
        Operator::GreaterThan => ordered(number(left), number(right), |a, b| a > b),
        Operator::IsBeforeDate => ordered(date(left), date(right), |a, b| a < b),
        Operator::IsAfterDate => ordered(date(left), date(right), |a, b| a > b),
        Operator::IsBeforeTime => ordered(time(left), time(right), |a, b| a < b),
        Operator::IsAfterTime => ordered(time(left), time(right), |a, b| a > b),
        // Compiled patterns are tried by the caller.
        Operator::Regex => false,
    }
}

fn ordered<T>(left: Option<T>, right: Option<T>, holds: impl Fn(T, T) -> bool) -> bool {
    left.zip(right).is_some_and(|(a, b)| holds(a, b))
}

/// Trimmed and without case: upper, then lower, so that `ß` and `SS`, `ς` and `Σ` are the same.
fn fold(text: &str) -> String {
    text.trim().chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let build = |source: &str| {
        RegexBuilder::new(source).case_insensitive(true).backtrack_limit(BACKTRACK_LIMIT).build()
    };
    let why = |fault: fancy_regex::Error| format!("{pattern:?} is no regular expression: {fault}");
    // Alone first: `a)(b` must not become valid by the group around it. Compiled is only what is used: a class such as
    // \p{L} without case costs milliseconds.
    Expr::parse_tree(pattern).map_err(why)?;
    build(&format!(r"\A(?:{pattern})\z")).map_err(why)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

/// A date, also as the head of a date and time.
fn date(text: &str) -> Option<Date> {
    text.trim().get(..10)?.parse().ok()
}

fn time(text: &str) -> Option<Time> {
    let mut parts = text.trim().splitn(3, ':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts.next().map_or(Some(0), |s| s.parse().ok())?;
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(left: &str, operator: &str, right: &str) -> bool {
        Condition::new(left.to_owned(), Operator::parse(operator).unwrap(), right.to_owned()).unwrap().holds(
            &Value::Null,
            &Templates::plain(),
            &mut Vec::new(),
        )
    }

    #[test]
    fn text_is_compared_without_case_and_outer_space() {
        assert!(holds("  Yes \n", "equal_to", "yes"));
        assert!(holds("SÍ", "equal_to", "sí "));
        assert!(holds("STRASSE", "equal_to", "Straße"));
        assert!(!holds("yes please", "equal_to", "yes"));
        assert!(holds("yes please", "not_equal_to", "yes"));
        assert!(holds("say YES now", "contains", "yes"));
        assert!(holds("no", "does_not_contain", "yes"));
        assert!(holds(" Menu please", "starts_with", "menu"));
        assert!(holds("the menu", "does_not_start_with", "menu"));
        assert!(holds(" \u{a0}\n", "is_blank", "ignored"));
        assert!(holds("x", "is_not_blank", ""));
    }

    #[test]
    fn a_list_matches_whole_items() {
        assert!(holds("1.", "matches_any_of", "1, 1., 1-, one"));
        assert!(holds("Sí", "matches_any_of", "si,sí"));
        assert!(holds("*", "matches_any_of", "0,*"));
        assert!(!holds("11", "matches_any_of", "1,2"));
        assert!(holds("11", "does_not_match_any_of", "1,2"));
    }

    #[test]
    fn numbers_are_compared_as_numbers_when_both_are() {
        assert!(holds("10", "greater_than", "9"));
        assert!(holds(" 2.5", "less_than", "10 "));
        assert!(!holds("ten", "greater_than", "9"));
        assert!(!holds("9", "greater_than", "9"));
        let less = Operator::LessThan;
        assert!(Condition::new("1".into(), less, "many".into()).is_err());
    }

    #[test]
    fn dates_and_times_are_compared_as_such() {
        assert!(holds("2026-02-01", "is_before_date", "2026-10-01"));
        assert!(holds("2026-12-01T10:00:00Z", "is_after_date", "2026-10-01"));
        assert!(!holds("soon", "is_before_date", "2026-10-01"));
        assert!(holds("9:30", "is_before_time", "17:00"));
        assert!(holds("17:00:01", "is_after_time", "17:00"));
        assert!(!holds("25:00", "is_after_time", "17:00"));
    }

    #[test]
    fn patterns_match_the_whole_text_in_any_case_with_look_ahead() {
        assert!(holds(" 12345 ", "regex", r"\d{5}"));
        assert!(!holds("x12345", "regex", r"\d{5}"));
        assert!(holds("My phone is BLOCKED now", "regex", "^(?=.*blocked)(?=.*phone).*$"));
        assert!(holds("b", "regex", "a|b"));
        assert!(!holds("ab", "regex", "a|b"));
    }

    #[test]
    fn a_pattern_that_explodes_gives_up_and_says_so() {
        let evil = "(a|b|ab)*(?=c)";
        let condition = Condition::new("ab".repeat(60), Operator::Regex, evil.into()).unwrap();
        let mut notes = Vec::new();
        assert!(!condition.holds(&Value::Null, &Templates::plain(), &mut notes));
        assert_eq!(notes.len(), 1);
        assert!(Condition::new(String::new(), Operator::Regex, "a)(b".into()).is_err());
    }
}
