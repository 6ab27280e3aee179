//! A [`DialPlan`] becomes a [`Plan`], or the list of all its problems.

use std::collections::{BTreeMap, BTreeSet};

use super::countries::{Country, dialled};
use super::plan::{DialPlan, Member, Plan, Target};

/// Something that the owner has to put right. `at` names the place: `groups.sales.otherwise`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PlanProblem {
    /// No data on it.
    #[error("country: nothing is known of {0:?}; write its two letters, as US")]
    Country(String),
    /// The law wants it.
    #[error("location: say where help is to come: street, number, floor")]
    NoLocation,
    /// Nothing to call with.
    #[error("lines: there is none, and no extension either")]
    NoLine,
    /// Twice the same name or number.
    #[error("{at}: {name:?} is there twice")]
    Twice {
        /// Place.
        at: String,
        /// What.
        name: String,
    },
    /// Names something that there is not.
    #[error("{at}: there is no {what} {name:?}")]
    Unknown {
        /// Place.
        at: String,
        /// `extension`, `group`, `line`.
        what: &'static str,
        /// What.
        name: String,
    },
    /// An own number that would hide an emergency number, or that people dial for one by mistake.
    #[error("{at}: {number} is how people call for help; choose another number")]
    HidesEmergency {
        /// Place.
        at: String,
        /// Which.
        number: String,
    },
    /// Not dialable.
    #[error("{at}: {number:?} cannot be dialled; use digits, * and #")]
    NotDialable {
        /// Place.
        at: String,
        /// Which.
        number: String,
    },
    /// A prefix that matches nothing.
    #[error("{at}: {prefix:?} is no prefix; write a plus and digits, as +44")]
    BadPrefix {
        /// Place.
        at: String,
        /// Which.
        prefix: String,
    },
    /// An empty list that must not be.
    #[error("{at}: nothing is listed")]
    Empty {
        /// Place.
        at: String,
    },
    /// Zero, or out of range.
    #[error("{at}: {value} is not between {least} and {most}")]
    Range {
        /// Place.
        at: String,
        /// What is there.
        value: u64,
        /// Smallest.
        least: u64,
        /// Largest.
        most: u64,
    },
    /// Negative money.
    #[error("{at}: cannot be negative")]
    Negative {
        /// Place.
        at: String,
    },
    /// `otherwise` leads back to where it began.
    #[error("{at}: leads in a circle; nobody would ever hear that nobody is there")]
    Circle {
        /// Place.
        at: String,
    },
    /// Calls from it would go nowhere.
    #[error("lines.{line}: no inbound rule takes its calls")]
    NoInbound {
        /// Which.
        line: String,
    },
}

impl Plan {
    /// Checks a plan.
    ///
    /// # Errors
    /// All problems, in the order of the plan.
    pub fn check(data: DialPlan) -> Result<Self, Vec<PlanProblem>> {
        let Some(country) = Country::of(&data.country) else {
            let mut problems = vec![PlanProblem::Country(data.country.clone())];
            problems.append(&mut Check::of(&data, None));
            return Err(problems);
        };
        let problems = Check::of(&data, Some(&country));
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut devices = BTreeMap::new();
        for (at, extension) in data.extensions.iter().enumerate() {
            for device in &extension.devices {
                devices.entry(device.clone()).or_insert(at);
            }
        }
        Ok(Self { data, country, devices })
    }
}

struct Check<'a> {
    plan: &'a DialPlan,
    problems: Vec<PlanProblem>,
}

impl<'a> Check<'a> {
    fn of(plan: &'a DialPlan, country: Option<&Country>) -> Vec<PlanProblem> {
        let mut check = Self { plan, problems: Vec::new() };
        if plan.location.trim().is_empty() {
            check.problems.push(PlanProblem::NoLocation);
        }
        check.range("longest_min", plan.longest_min.into(), 1, 1440);
        check.lines();
        check.own_numbers(country);
        check.targets();
        check.rules();
        check.caps();
        check.circles();
        check.problems
    }

    fn lines(&mut self) {
        if self.plan.lines.is_empty() && self.plan.extensions.is_empty() {
            self.problems.push(PlanProblem::NoLine);
        }
        self.twice("lines", self.plan.lines.iter().map(|l| l.id.as_str()));
        for line in &self.plan.lines {
            self.range(&format!("lines.{}.channels", line.id), line.channels.into(), 1, 1000);
            let taken = self.plan.inbound.iter().any(|rule| match (&rule.line, &rule.number) {
                (Some(id), None) => *id == line.id,
                (Some(id), Some(number)) => *id == line.id && line.number.as_ref() == Some(number),
                (None, Some(number)) => line.number.as_ref() == Some(number),
                (None, None) => true,
            });
            if !taken {
                self.problems.push(PlanProblem::NoInbound { line: line.id.to_string() });
            }
        }
    }

    fn own_numbers(&mut self, country: Option<&Country>) {
        let extensions = self.plan.extensions.iter().map(|e| e.number.as_str());
        let numbers = self.plan.numbers.keys().map(String::as_str);
        self.twice("extensions", extensions.clone().chain(numbers.clone()));
        self.twice("groups", self.plan.groups.iter().map(|g| g.name.as_str()));
        for (place, number) in extensions.map(|n| ("extensions", n)).chain(numbers.map(|n| ("numbers", n))) {
            let at = format!("{place}.{number}");
            match dialled(number) {
                Some(text) if text == number && !number.starts_with('+') => {
                    let prefix = self.plan.outside_prefix.as_deref();
                    if country.is_some_and(|c| c.emergency_behind(prefix, number).is_some()) {
                        self.problems.push(PlanProblem::HidesEmergency { at, number: number.to_owned() });
                    }
                }
                _ => self.problems.push(PlanProblem::NotDialable { at, number: number.to_owned() }),
            }
        }
        for extension in &self.plan.extensions {
            let at = format!("extensions.{}", extension.number);
            self.range(&format!("{at}.ring_s"), extension.ring_s.into(), 1, 600);
            if extension.devices.is_empty() {
                self.problems.push(PlanProblem::Empty { at: format!("{at}.devices") });
            }
        }
        if let Some(prefix) = &self.plan.outside_prefix
            && (prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_digit()))
        {
            let at = "outside_prefix".to_owned();
            self.problems.push(PlanProblem::NotDialable { at, number: prefix.clone() });
        }
    }

    fn targets(&mut self) {
        let plan = self.plan;
        for extension in &plan.extensions {
            self.target(&format!("extensions.{}.otherwise", extension.number), extension.otherwise.as_ref());
        }
        for group in &plan.groups {
            let at = format!("groups.{}", group.name);
            self.range(&format!("{at}.ring_s"), group.ring_s.into(), 1, 600);
            if group.members.is_empty() {
                self.problems.push(PlanProblem::Empty { at: format!("{at}.members") });
            }
            for member in &group.members {
                if let Member::Extension(number) = member {
                    self.target(&format!("{at}.members"), Some(&Target::Extension(number.clone())));
                }
            }
            self.target(&format!("{at}.otherwise"), group.otherwise.as_ref());
        }
        for (number, target) in &plan.numbers {
            self.target(&format!("numbers.{number}"), Some(target));
        }
        for (n, rule) in plan.inbound.iter().enumerate() {
            self.target(&format!("inbound.{n}.open"), Some(&rule.open));
            self.target(&format!("inbound.{n}.closed"), Some(&rule.closed));
            self.target(&format!("inbound.{n}.holiday"), rule.holiday.as_ref());
            if let Some(line) = &rule.line {
                self.line(&format!("inbound.{n}.line"), line.as_str());
            }
        }
    }

    fn target(&mut self, at: &str, target: Option<&Target>) {
        let plan = self.plan;
        match target {
            Some(Target::Extension(number)) if !plan.extensions.iter().any(|e| e.number == *number) => {
                self.unknown(at, "extension", number);
            }
            Some(Target::Group(name)) if !plan.groups.iter().any(|g| g.name == *name) => {
                self.unknown(at, "group", name);
            }
            Some(Target::Line { line, .. }) => self.line(at, line.as_str()),
            Some(Target::Flow(name)) if name.trim().is_empty() => self.unknown(at, "flow", name),
            Some(
                Target::Extension(_)
                | Target::Group(_)
                | Target::Flow(_)
                | Target::Number(_)
                | Target::Nobody
                | Target::Echo
                | Target::Tone,
            )
            | None => {}
        }
    }

    fn rules(&mut self) {
        let plan = self.plan;
        self.twice("outbound", plan.outbound.iter().map(|o| o.prefix.as_str()));
        for rule in &plan.outbound {
            let at = format!("outbound.{:?}", rule.prefix);
            if !rule.prefix.is_empty() {
                self.prefix(&at, &rule.prefix);
            }
            if rule.lines.is_empty() {
                self.problems.push(PlanProblem::Empty { at: format!("{at}.lines") });
            }
            self.twice(&format!("{at}.lines"), rule.lines.iter().map(|l| l.line.as_str()));
            for line in &rule.lines {
                self.line(&format!("{at}.lines"), line.line.as_str());
                if line.per_minute.0 < 0 || line.per_call.0 < 0 {
                    self.problems.push(PlanProblem::Negative { at: format!("{at}.lines.{}", line.line) });
                }
            }
        }
        for prefix in &plan.allow.international {
            self.prefix("allow.international", prefix);
        }
        for prefix in &plan.allow.premium {
            self.prefix("allow.premium", prefix);
        }
    }

    fn caps(&mut self) {
        let caps = &self.plan.caps;
        for (name, cap) in [("shop", caps.shop), ("user", caps.user), ("destination", caps.destination)] {
            if cap.spend.0 < 0 {
                self.problems.push(PlanProblem::Negative { at: format!("caps.{name}.spend") });
            }
        }
    }

    /// Follows every `otherwise`.
    fn circles(&mut self) {
        let plan = self.plan;
        let next = |target: &Target| match target {
            Target::Extension(number) => {
                plan.extensions.iter().find(|e| e.number == *number).and_then(|e| e.otherwise.clone())
            }
            Target::Group(name) => {
                plan.groups.iter().find(|g| g.name == *name).and_then(|g| g.otherwise.clone())
            }
            Target::Flow(_)
            | Target::Number(_)
            | Target::Line { .. }
            | Target::Nobody
            | Target::Echo
            | Target::Tone => None,
        };
        let extensions = plan
            .extensions
            .iter()
            .map(|e| (format!("extensions.{}.otherwise", e.number), Target::Extension(e.number.clone())));
        let groups = plan
            .groups
            .iter()
            .map(|g| (format!("groups.{}.otherwise", g.name), Target::Group(g.name.clone())));
        for (at, start) in extensions.chain(groups) {
            let mut seen = vec![start.clone()];
            let mut here = next(&start);
            while let Some(target) = here {
                if target == start {
                    self.problems.push(PlanProblem::Circle { at: at.clone() });
                }
                if seen.contains(&target) {
                    break;
                }
                here = next(&target);
                seen.push(target);
            }
        }
    }

    fn line(&mut self, at: &str, id: &str) {
        if !self.plan.lines.iter().any(|l| l.id.as_str() == id) {
            self.unknown(at, "line", id);
        }
    }

    fn unknown(&mut self, at: &str, what: &'static str, name: &str) {
        self.problems.push(PlanProblem::Unknown { at: at.to_owned(), what, name: name.to_owned() });
    }

    fn prefix(&mut self, at: &str, prefix: &str) {
        let digits = prefix.strip_prefix('+').unwrap_or_default();
        if digits.is_empty() || digits.len() > 15 || !digits.chars().all(|c| c.is_ascii_digit()) {
            self.problems.push(PlanProblem::BadPrefix { at: at.to_owned(), prefix: prefix.to_owned() });
        }
    }

    fn range(&mut self, at: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            self.problems.push(PlanProblem::Range { at: at.to_owned(), value, least, most });
        }
    }

    fn twice<'n>(&mut self, at: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                self.problems.push(PlanProblem::Twice { at: at.to_owned(), name: name.to_owned() });
            }
        }
    }
}
