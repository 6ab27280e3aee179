//! `[[template]]`: templates of WhatsApp (and of other channels) that live at Twilio, by names that people remember.
//!
//! Deliberately absent: what a template says. That is Twilio's, and `backroom twilio templates` asks there.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::file::ShopConfig;
use super::reader::{Reader, place};
use super::upstream::UpstreamLine;
use crate::types::{Channel, ShopId};

/// What WhatsApp approved a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePurpose {
    /// About an order or an appointment.
    Utility,
    /// An offer: needs consent, and waits for its hours.
    Marketing,
    /// A code that proves who somebody is.
    Authentication,
}

impl TemplatePurpose {
    /// As the file writes it, and WhatsApp in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utility => "utility",
            Self::Marketing => "marketing",
            Self::Authentication => "authentication",
        }
    }
}

/// `[[template]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateConfig {
    /// `id`: what it is called here.
    pub id: String,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `content_sid`: `HX` and 32 hex digits.
    pub sid: String,
    /// `language`: as it was submitted, `en` or `es_MX`. Checked, and otherwise not used.
    pub language: Option<String>,
    /// `variables`: names of `{{1}}`, `{{2}}` ... in order.
    pub variables: Vec<String>,
    /// `purpose`.
    pub purpose: TemplatePurpose,
}

/// The variable of a template that takes free words.
pub const TEXT: &str = "text";
/// The variable that the shop's name goes into.
pub const SHOP: &str = "shop";

const KEYS: [&str; 6] = ["id", "shop", "content_sid", "language", "variables", "purpose"];

impl Reader<'_> {
    pub(super) fn templates(&mut self, root: &DeTable<'_>, shops: &[ShopConfig]) -> Vec<TemplateConfig> {
        let mut all: Vec<TemplateConfig> = Vec::new();
        for (at, table) in self.tables(root.get("template"), "template") {
            let template = self.template(at, table, shops);
            let of_shop = |t: &&TemplateConfig| t.shop == template.shop;
            if all.iter().filter(of_shop).any(|t| t.id == template.id) {
                self.fault(at, format!("there are two templates with the id `{}`", template.id));
            }
            let same = |t: &&TemplateConfig| t.sid == template.sid && !t.sid.is_empty();
            if let Some(other) = all.iter().filter(of_shop).find(same) {
                let text = format!(
                    "template `{}` has the same `content_sid` as template `{}`",
                    template.id, other.id
                );
                self.fault(place(at, table, "content_sid"), text);
            }
            all.push(template);
        }
        all
    }

    fn template(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> TemplateConfig {
        self.known(table, "[[template]]", &KEYS);
        let id = self.id(at, table, "[[template]]");
        let shop = self.shop_of(at, table, shops, "[[template]]");
        let sid = self.sid(at, table, "content_sid", "HX").unwrap_or_default();
        if !table.contains_key("content_sid") {
            let text = "[[template]] has no `content_sid`: write the one that Twilio shows, HX and 32 digits";
            self.fault(at, text.to_owned());
        }
        let purposes =
            [TemplatePurpose::Utility, TemplatePurpose::Marketing, TemplatePurpose::Authentication];
        let purposes = purposes.map(|purpose| (purpose.as_str(), purpose));
        let purpose = self.word(table, "purpose", &purposes);
        if !table.contains_key("purpose") {
            let text =
                "[[template]] has no `purpose`: write utility, marketing or authentication, as approved";
            self.fault(at, text.to_owned());
        }
        let mut variables: Vec<String> = Vec::new();
        for (at, name) in table.get("variables").map_or_else(Vec::new, |item| self.texts(item, "variables")) {
            let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
            if name.is_empty() || name.contains(odd) || name.starts_with(|c: char| c.is_ascii_digit()) {
                self.fault(
                    at,
                    format!("`variables`: {name:?} is no name: letters, digits and _, a letter first"),
                );
            } else if variables.contains(&name) {
                self.fault(at, format!("`variables` names {name:?} twice"));
            }
            variables.push(name);
        }
        TemplateConfig {
            id,
            shop,
            sid,
            language: self.string(table, "language"),
            variables,
            // Without it the file is refused.
            purpose: purpose.unwrap_or(TemplatePurpose::Marketing),
        }
    }

    /// What is wrong with the template of a line for what is said outside WhatsApp's window.
    pub(super) fn check_outside_window(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        line: &UpstreamLine,
        templates: &[TemplateConfig],
    ) {
        let Some(name) = &line.outside_window else { return };
        let at = place(at, table, "outside_window");
        if line.channel != Channel::WhatsApp {
            self.fault(at, "`outside_window` is for a line with channel = \"whatsapp\"".to_owned());
        }
        let Some(template) = templates.iter().find(|t| t.id == *name && t.shop == line.shop) else {
            let text = format!("there is no [[template]] `{name}` of shop `{}`", line.shop);
            return self.fault(at, text);
        };
        if template.purpose != TemplatePurpose::Utility {
            let text = format!(
                "`outside_window`: template `{name}` is for {}; what people are told there needs one for utility",
                template.purpose.as_str()
            );
            self.fault(at, text);
        }
        let names: BTreeSet<&str> = template.variables.iter().map(String::as_str).collect();
        if !names.contains(TEXT) || names.iter().any(|n| ![TEXT, SHOP].contains(n)) {
            let text = format!(
                "`outside_window`: the variables of template `{name}` must be `{TEXT}`, which the words go into, and \
                 perhaps `{SHOP}`, the shop's name"
            );
            self.fault(at, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    const SID: &str = "HX0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Result<Vec<TemplateConfig>, Vec<(usize, String)>> {
        match parse(&format!("[[shop]]\nid = \"main\"\n{text}"), None) {
            Ok(config) => Ok(config.templates),
            Err(faults) => Err(faults.into_iter().map(|f| (f.line, f.message)).collect()),
        }
    }

    #[test]
    fn a_template_has_a_name_and_knows_the_names_of_its_variables() {
        let text = format!(
            "[[template]]\nid = \"order_ready\"\ncontent_sid = \"{SID}\"\nlanguage = \"en\"\n\
             variables = [\"name\", \"order\"]\npurpose = \"utility\"\n"
        );
        let all = read(&text).unwrap();
        assert_eq!(all[0].variables, ["name", "order"]);
        assert_eq!((all[0].sid.as_str(), all[0].purpose), (SID, TemplatePurpose::Utility));
        assert_eq!(all[0].shop, ShopId::from("main"));
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        let text = format!(
            "[[template]]\nid = \"a\"\ncontent_sid = \"HX1\"\npurpose = \"news\"\n\
             [[template]]\nid = \"b\"\n\
             [[template]]\nid = \"c\"\ncontent_sid = \"{SID}\"\npurpose = \"utility\"\nvariables = [\"1\", \"x\", \"x\"]\n\
             [[template]]\nid = \"c\"\ncontent_sid = \"{SID}\"\npurpose = \"marketing\"\nlangage = \"en\"\n"
        );
        let faults = read(&text).unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 6, 7, 7, 13, 13, 14, 16, 18], "{faults:#?}");
        assert!(faults[8].1.contains("did you mean `language`"), "{faults:#?}");
    }

    #[test]
    fn what_carries_words_outside_the_window_must_be_able_to() {
        let line = |more: &str| {
            let token = std::env::temp_dir().join(format!("token-{}", std::process::id()));
            std::fs::write(&token, "secret").unwrap();
            format!(
                "[[line]]\nid = \"wa\"\nkind = \"twilio\"\naccount = \"AC{0:032}\"\nauth_token_file = {token:?}\n\
                 number = \"+12065550199\"\n{more}\n",
                1
            )
        };
        let template = |purpose: &str, variables: &str| {
            format!(
                "[[template]]\nid = \"update\"\ncontent_sid = \"{SID}\"\npurpose = \"{purpose}\"\n\
                 variables = {variables}\n"
            )
        };
        let whatsapp = line("channel = \"whatsapp\"\noutside_window = \"update\"");
        let good = template("utility", "[\"shop\", \"text\"]");
        assert!(read(&format!("{whatsapp}{good}")).is_ok());
        for (line, template, says) in [
            (&whatsapp, String::new(), "there is no [[template]] `update`"),
            (&whatsapp, template("marketing", "[\"text\"]"), "is for marketing"),
            (&whatsapp, template("utility", "[\"words\"]"), "must be `text`"),
            (&line("outside_window = \"update\""), good, "is for a line with channel"),
        ] {
            let faults = read(&format!("{line}{template}")).unwrap_err();
            assert_eq!((faults.len(), faults[0].0 >= 9), (1, true), "{faults:?}");
            assert!(faults[0].1.contains(says), "{faults:?}");
        }
    }
}
