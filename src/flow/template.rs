//! Liquid source as a widget's property holds it: parsed once with the definition, rendered over the context.
//!
//! Rendering understands the seed dialect too (`slice(0, 10)`, `loop.index`); what is said of a definition is said
//! by plain Liquid, because that is all that Studio understands.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::Severity;
use crate::liquid::{self, Limits, NoteKind, Options, RenderContext, Weight};
use crate::types::Wall;

/// A profile passes through `to_json` whole, so the bound is that of an HTTP body. Bytes.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// Studio's bound on one loop.
const STUDIO_LOOP: u64 = 15;

/// What templates may know beside their context: the time of the event and the shop's zone.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    zone: TimeZone,
    now: Wall,
}

impl Templates {
    pub(crate) fn new(zone: TimeZone, now: Wall) -> Self {
        Self { zone, now }
    }

    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self::new(TimeZone::UTC, Wall(0))
    }
}

/// Liquid source of one property.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    parsed: Parsed,
}

#[derive(Clone, Debug)]
enum Parsed {
    /// No Liquid in it.
    Plain,
    Liquid(Box<liquid::Template>),
    /// Too large or nested too deep; a definition with it is refused.
    Broken,
}

impl Template {
    pub(crate) fn new(source: impl Into<String>) -> Self {
        let source = source.into();
        let parsed = if Self::is_dynamic(&source) {
            match liquid::Template::parse(&source, &Options::seed()) {
                Ok(template) => Parsed::Liquid(Box::new(template)),
                Err(_) => Parsed::Broken,
            }
        } else {
            Parsed::Plain
        };
        Self { source, parsed }
    }

    /// As it stands in the definition.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True when rendering may change the text.
    pub(crate) fn is_dynamic(source: &str) -> bool {
        source.contains("{{") || source.contains("{%")
    }

    /// Renders over the context and never fails: what is missing is blank, and what went wrong is a note.
    pub(crate) fn render(&self, globals: &Value, templates: &Templates) -> (String, Vec<String>) {
        let template = match &self.parsed {
            Parsed::Plain => return (self.source.clone(), Vec::new()),
            Parsed::Broken => return (String::new(), vec!["the Liquid cannot be parsed".to_owned()]),
            Parsed::Liquid(template) => template,
        };
        let mut context = RenderContext::new(globals, templates.zone.clone(), templates.now);
        context.limits = Limits { output_bytes: MAX_OUTPUT, ..Limits::default() };
        let rendered = template.render_anyway(&context);
        // What parsing had to say stands beside the definition already.
        let notes = rendered.notes.into_iter().filter(|note| {
            note.weight == Weight::Error && matches!(note.kind, NoteKind::Failed | NoteKind::Limit)
        });
        (rendered.text, notes.map(|note| note.message).collect())
    }

    /// What is wrong with a source, for its author.
    pub(crate) fn problems(source: &str) -> Vec<(Severity, String)> {
        if !Self::is_dynamic(source) {
            return Vec::new();
        }
        let mut problems: Vec<(Severity, String)> = Vec::new();
        for note in liquid::lint(source) {
            let severity = match (note.kind, note.weight) {
                (NoteKind::Syntax | NoteKind::Unclosed | NoteKind::UnknownTag, Weight::Error) => {
                    Severity::Error
                }
                _ => Severity::Warning,
            };
            let rewrite = note.rewrite.map(|rewrite| format!("; write {rewrite}")).unwrap_or_default();
            problems.push((severity, format!("Liquid, line {}: {}{rewrite}", note.line, note.message)));
        }
        if let Some(count) = longest_loop(source).filter(|count| *count > STUDIO_LOOP) {
            let message = format!("Liquid: a loop of {count} iterations; Studio stops at {STUDIO_LOOP}");
            problems.push((Severity::Warning, message));
        }
        problems
    }
}

impl Template {
    /// The widgets that a source names: `{{widgets.ask.inbound.Body}}`.
    pub(crate) fn widgets(source: &str) -> Vec<String> {
        if !Self::is_dynamic(source) {
            return Vec::new();
        }
        let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let mut names: Vec<String> = Vec::new();
        let markups = source.split("{{").flat_map(|part| part.split("{%")).skip(1);
        for markup in markups {
            let markup = markup.split('}').next().unwrap_or_default();
            for (at, found) in markup.match_indices("widgets.") {
                let rest = markup.get(at.saturating_add(found.len())..).unwrap_or_default().trim_start();
                let name: String = rest.chars().take_while(|c| part_of_name(*c)).collect();
                let inside = markup
                    .get(..at)
                    .and_then(|b| b.chars().next_back())
                    .is_some_and(|c| part_of_name(c) || c == '.');
                if !inside && !name.is_empty() && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

/// The most iterations that a `for` tag asks for in so many words: `limit:20`, `(1..20)`.
fn longest_loop(source: &str) -> Option<u64> {
    source.split("{%").skip(1).filter_map(|rest| rest.split("%}").next()).filter_map(iterations).max()
}

fn iterations(tag: &str) -> Option<u64> {
    let tag = tag.trim_start_matches('-').trim_start();
    let tag = tag.strip_prefix("for ").or_else(|| tag.strip_prefix("tablerow "))?;
    let digits = |text: &str| -> Option<u64> {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    let limit = tag.split_once("limit").and_then(|(_, rest)| digits(rest.trim_start().strip_prefix(':')?));
    let range = || {
        let (from, to) = tag.split_once('(')?.1.split_once("..")?;
        digits(to)?.checked_sub(digits(from)?)?.checked_add(1)
    };
    limit.or_else(range)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(source: &str) -> Vec<(Severity, String)> {
        Template::problems(source)
    }

    #[test]
    fn the_seeds_own_templates_render_and_are_told_their_rewrite() {
        let source = "{% for e in list | slice(0, 2) %}{{loop.index}}. {{e}} {% endfor %}";
        let globals = json!({"list": ["a", "b", "c"]});
        let (text, notes) = Template::new(source).render(&globals, &Templates::plain());
        assert_eq!((text.as_str(), notes), ("1. a 2. b ", Vec::new()));
        let problems = said(source);
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|(severity, _)| *severity == Severity::Warning), "{problems:?}");
    }

    #[test]
    fn liquid_that_does_not_parse_is_an_error() {
        assert!(said("{% if x %}y").iter().any(|(s, _)| *s == Severity::Error));
        assert!(said("{{ x | nonsense }}").iter().all(|(s, _)| *s == Severity::Warning));
        assert_eq!(said("plain text, 100 %}"), Vec::new());
    }

    #[test]
    fn a_loop_beyond_studios_fifteen_is_a_warning() {
        let warned = |source: &str| said(source).iter().any(|(_, m)| m.contains("Studio stops at 15"));
        assert!(warned("{% for i in (1..20) %}{{i}}{% endfor %}"));
        assert!(warned("{%- for e in list limit: 16 %}{{e}}{% endfor %}"));
        assert!(!warned("{% for e in list limit:10 %}{{e}}{% endfor %}"));
        assert!(!warned("{% for i in (1..15) %}{{i}}{% endfor %}"));
    }
}
