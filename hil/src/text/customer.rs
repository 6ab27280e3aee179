//! A customer who schedules a service with a part ordered on the way: reads what the shop texts, knows what must
//! come next, and answers it. Knows no clock and no modem. Whatever the shop says that does not belong here (out of
//! turn, said before, somebody else's) is a [`Misfit`].

use crate::dealer::Machine;
use std::collections::BTreeMap;

/// A text that this customer must not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What is wrong with it.
    pub why: String,
    /// The text.
    pub text: String,
}

/// What a text makes the customer do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Answer this.
    Answer(String),
    /// Wait for what the shop says next.
    Wait,
    /// Nothing: it tells of an order, whenever it comes.
    Note,
    /// The conversation has come to its end.
    Over,
}

/// What the customer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Menu,
    Machines,
    Problem,
    Offer,
    Parts,
    Quantity,
    Shipping,
    Ordered,
    DropOff,
    Closing,
    Over,
}

impl Step {
    /// What the awaited text has in it, and no other text has.
    fn phrase(self) -> &'static str {
        match self {
            Step::Menu => "1. Troubleshoot Equipment",
            Step::Machines => "Your Equipment - Reply with a number:",
            Step::Problem => "Please describe the problem or service needed",
            Step::Offer => "Would you like to order parts for this service",
            Step::Parts => "Common Parts for",
            Step::Quantity => "Enter quantity (1-99):",
            Step::Shipping => "3. Will Call (Pick up at shop)",
            Step::Ordered => "Returning to service scheduling...",
            Step::DropOff => "How would you like to drop off?",
            Step::Closing => "Thank you for scheduling your service",
            Step::Over => "\u{0}",
        }
    }
}

/// One conversation, and what it is about. Description and quantity are of this conversation alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// For which machine.
    pub machine: Machine,
    /// The problem, in the customer's words.
    pub description: String,
    /// How many of the part.
    pub quantity: u64,
    /// The part's number, once chosen.
    pub part: Option<String>,
    /// The parts order was asked for.
    pub ordered_part: bool,
    /// The service order was asked for.
    pub ordered_service: bool,
    /// The text that says what became of the parts order was skipped: the shop went on without it.
    pub skipped: bool,
}

/// One customer, in one conversation after the other.
#[derive(Debug, Clone)]
pub struct Customer {
    /// E.164.
    pub phone: String,
    /// The dealer's id.
    pub id: String,
    machines: Vec<Machine>,
    step: Step,
    talks: Vec<Talk>,
    told: BTreeMap<String, usize>,
    told_of_doubt: usize,
}

impl Customer {
    /// `None` when the customer owns nothing that could be serviced.
    #[must_use]
    pub fn new(known: &crate::dealer::Customer) -> Option<Customer> {
        let machines = known.machines();
        (!machines.is_empty()).then(|| Customer {
            phone: known.phone.clone(),
            id: known.id.clone(),
            machines,
            step: Step::Over,
            talks: Vec::new(),
            told: BTreeMap::new(),
            told_of_doubt: 0,
        })
    }

    /// Begins the next conversation with the text that is returned.
    pub fn begin(&mut self) -> String {
        let number = self.talks.len() + 1;
        let machine = self.machines.get(number % self.machines.len().max(1)).or(self.machines.first());
        let Some(machine) = machine.cloned() else { return "MENU".to_owned() };
        let mut description = format!("Won't start, {}{number}.", self.mark());
        if number.is_multiple_of(3) {
            // Too long for one text.
            description.push_str(
                " It ran well until last week, then it lost power in tall grass, smoked for a minute \
                 and stopped. There is fresh fuel in it, and I have cleaned the air filter twice since.",
            );
        }
        self.talks.push(Talk {
            machine,
            description,
            quantity: (number as u64 - 1) % 99 + 1,
            part: None,
            ordered_part: false,
            ordered_service: false,
            skipped: false,
        });
        self.step = Step::Menu;
        "MENU".to_owned()
    }

    /// Stands in every description of this customer, and in nobody else's.
    fn mark(&self) -> String {
        format!("ref {}-", self.phone.trim_start_matches('+'))
    }

    /// Between two conversations.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.step == Step::Over
    }

    /// All conversations, the current one last.
    #[must_use]
    pub fn talks(&self) -> &[Talk] {
        &self.talks
    }

    /// Numbers of confirmed orders, and how often each was told.
    #[must_use]
    pub fn told(&self) -> &BTreeMap<String, usize> {
        &self.told
    }

    /// How often the shop said that it cannot tell what became of an order.
    #[must_use]
    pub fn told_of_doubt(&self) -> usize {
        self.told_of_doubt
    }

    /// What the texts have in them that this customer waits for, the next one first.
    #[must_use]
    pub fn awaits(&self) -> Vec<&'static str> {
        match self.step {
            Step::Over => Vec::new(),
            Step::Ordered => vec![Step::Ordered.phrase(), Step::DropOff.phrase()],
            Step::Menu
            | Step::Machines
            | Step::Problem
            | Step::Offer
            | Step::Parts
            | Step::Quantity
            | Step::Shipping
            | Step::DropOff
            | Step::Closing => vec![self.step.phrase()],
        }
    }

    /// Reads a text of the shop.
    ///
    /// # Errors
    /// It is not for this customer, or not now.
    pub fn hear(&mut self, text: &str) -> Result<Reaction, Misfit> {
        let misfit = |why: String| Misfit { why, text: text.to_owned() };
        if let Some(why) = self.foreign(text) {
            return Err(misfit(why));
        }
        if let Some(reaction) = self.note(text) {
            return reaction.map_err(misfit);
        }
        if self.step == Step::Ordered && text.contains(Step::DropOff.phrase()) {
            self.step = Step::DropOff;
            if let Some(talk) = self.talks.last_mut() {
                talk.skipped = true;
            }
        }
        if !text.contains(self.step.phrase()) {
            return Err(misfit(format!("the customer waits for {:?}", self.step)));
        }
        let step = self.step;
        self.turn(step, text).map_err(misfit)
    }

    /// What in a text is somebody else's.
    fn foreign(&self, text: &str) -> Option<String> {
        let serials = text.split("SN: ").skip(1).map(|rest| rest.split([' ', '\n']).next().unwrap_or(rest));
        for serial in serials {
            if !self.machines.iter().any(|m| m.serial == serial) {
                return Some(format!("the serial number {serial} is somebody else's"));
            }
        }
        let (own, mine) = (self.mark(), text.matches("ref 1").count());
        (text.matches(own.as_str()).count() != mine).then(|| "the description is somebody else's".to_owned())
    }

    /// Texts about orders come whenever the dealer has decided.
    fn note(&mut self, text: &str) -> Option<Result<Reaction, String>> {
        if text.contains(Step::Ordered.phrase()) {
            return None;
        }
        if text.starts_with("We could not confirm your ") {
            self.told_of_doubt += 1;
            return Some(Ok(Reaction::Note));
        }
        let about_part = text.starts_with("Parts Order Confirmed!");
        if !about_part && !text.starts_with("Service Confirmed!") {
            return None;
        }
        let fits = |talk: &Talk| {
            let what = if about_part {
                talk.ordered_part && text.contains(&format!("(Qty: {})", talk.quantity))
            } else {
                talk.ordered_service && text.contains(&talk.description)
            };
            what && text.contains(&format!("\n{} - ", talk.machine.name))
        };
        if !self.talks.iter().any(fits) {
            return Some(Err("no such order was given".to_owned()));
        }
        Some(self.tell(text).map(|()| Reaction::Note))
    }

    fn tell(&mut self, text: &str) -> Result<(), String> {
        let number = text.split("Order #").nth(1).and_then(|rest| rest.lines().next());
        let number = number.ok_or("the order has no number")?;
        let times = self.told.entry(number.to_owned()).or_default();
        *times += 1;
        if *times > 1 { Err(format!("order {number} was told before")) } else { Ok(()) }
    }

    /// Checks the text that was waited for, and answers it.
    fn turn(&mut self, step: Step, text: &str) -> Result<Reaction, String> {
        let talk = self.talks.last().cloned().ok_or("the customer has not begun")?;
        let own_machine = match step {
            Step::Menu | Step::Machines | Step::Over => true,
            Step::Ordered => text.contains(&talk.machine.name) || text.contains("could not be created"),
            Step::Problem
            | Step::Offer
            | Step::Parts
            | Step::Quantity
            | Step::Shipping
            | Step::DropOff
            | Step::Closing => text.contains(&talk.machine.name),
        };
        if !own_machine {
            return Err(format!("it is not about {}", talk.machine.name));
        }
        if text.contains("Sorry, ") {
            return Err("the shop did not understand the answer".to_owned());
        }
        let (next, reaction) = match step {
            Step::Menu => (Step::Machines, choose(text, "Schedule Service")?),
            Step::Machines => match choose(text, &format!("SN: {}", talk.machine.serial)) {
                Ok(number) => (Step::Problem, number),
                // Of many machines a page shows the first ones.
                Err(why) => (Step::Machines, choose(text, "Show More Equipment").map_err(|_| why)?),
            },
            Step::Problem => (Step::Offer, Reaction::Answer(talk.description.clone())),
            Step::Offer => {
                let problem: String = talk.description.chars().take(290).collect();
                if !text.contains(&format!("Problem: {problem}")) {
                    return Err("it does not repeat the customer's words".to_owned());
                }
                (Step::Parts, choose(text, "Yes, order parts now")?)
            }
            Step::Parts => (Step::Quantity, self.choose_part(text)?),
            Step::Quantity => (Step::Shipping, Reaction::Answer(talk.quantity.to_string())),
            Step::Shipping => {
                if !text.contains(&format!("(Qty: {})", talk.quantity)) {
                    return Err("it is another quantity".to_owned());
                }
                self.talk(|talk| talk.ordered_part = true);
                (Step::Ordered, choose(text, "Will Call")?)
            }
            Step::Ordered => {
                if text.contains("Parts Order Confirmed!") {
                    self.tell(text)?;
                } else if !text.contains("Parts order saved.") {
                    return Err("the parts order was neither confirmed nor saved".to_owned());
                }
                (Step::DropOff, Reaction::Wait)
            }
            Step::DropOff => {
                self.talk(|talk| talk.ordered_service = true);
                (Step::Closing, choose(text, "Drop off Tomorrow")?)
            }
            Step::Closing => (Step::Over, Reaction::Over),
            Step::Over => return Err("nothing was asked".to_owned()),
        };
        self.step = next;
        Ok(reaction)
    }

    fn talk(&mut self, change: impl FnOnce(&mut Talk)) {
        if let Some(talk) = self.talks.last_mut() {
            change(talk);
        }
    }

    /// The list's first part; its number is remembered for the order's check.
    fn choose_part(&mut self, text: &str) -> Result<Reaction, String> {
        let line = text.lines().find(|l| l.starts_with("1. ")).ok_or("there is no first part")?;
        let number = line.split('#').nth(1).and_then(|rest| rest.split(' ').next());
        let number = number.ok_or("the part has no number")?.to_owned();
        self.talk(|talk| talk.part = Some(number));
        Ok(Reaction::Answer("1".to_owned()))
    }
}

/// The number of the line that has this in it.
fn choose(text: &str, what: &str) -> Result<Reaction, String> {
    let line = text.lines().find(|line| line.contains(what));
    let number = line.and_then(|line| line.split_once(". ")).map(|(number, _)| number);
    match number {
        Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => Ok(Reaction::Answer(number.to_owned())),
        Some(_) | None => Err(format!("there is no choice {what:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        let machine = |n: u32| Machine {
            id: format!("EQ{n}"),
            name: format!("Honda HRX{n}"),
            serial: format!("SN-{n}"),
        };
        Customer {
            phone: "+12065550101".into(),
            id: "C-1".into(),
            machines: vec![machine(1), machine(2)],
            step: Step::Over,
            talks: Vec::new(),
            told: BTreeMap::new(),
            told_of_doubt: 0,
        }
    }

    const MENU: &str = "Shop\n\nReply with a number:\n1. Troubleshoot Equipment\n2. Schedule Service";
    const LIST: &str =
        "Your Equipment - Reply with a number:\n1. Honda HRX1 - SN: SN-1\n2. Honda HRX2 - SN: SN-2\n";

    #[test]
    fn a_customer_answers_by_what_the_text_says() {
        let mut jane = customer();
        assert_eq!(jane.begin(), "MENU");
        assert_eq!(jane.hear(MENU), Ok(Reaction::Answer("2".into())));
        assert_eq!(jane.hear(LIST), Ok(Reaction::Answer("2".into())), "the first talk is about the second");
        assert_eq!(jane.awaits(), ["Please describe the problem or service needed"]);
    }

    #[test]
    fn a_customer_with_many_machines_asks_for_the_page_with_the_right_one() {
        let mut jane = customer();
        jane.begin();
        jane.hear(MENU).unwrap();
        let page = LIST.replace("2. Honda HRX2 - SN: SN-2", "2. Show More Equipment");
        assert_eq!(jane.hear(&page), Ok(Reaction::Answer("2".into())));
        assert_eq!(jane.awaits(), ["Your Equipment - Reply with a number:"]);
        assert_eq!(jane.hear(&LIST.replace("2. Honda", "11. Honda")), Ok(Reaction::Answer("11".into())));
        assert_eq!(jane.awaits(), ["Please describe the problem or service needed"]);
    }

    #[test]
    fn a_text_said_twice_out_of_turn_or_about_somebody_else_is_a_misfit() {
        let mut jane = customer();
        jane.begin();
        jane.hear(MENU).unwrap();
        assert!(jane.hear(MENU).unwrap_err().why.contains("waits for Machines"));
        assert!(jane.hear(&LIST.replace("SN-2", "SN-3")).unwrap_err().why.contains("SN-3"));
        let problem = "Honda HRX2\nProblem: Won't start, ref 12065550102-1.";
        assert!(jane.hear(problem).unwrap_err().why.contains("description"));
        jane.hear(LIST).unwrap();
        let other = "Honda HRX1 - Please describe the problem or service needed";
        assert!(jane.hear(other).unwrap_err().why.contains("not about Honda HRX2"));
    }

    #[test]
    fn an_order_is_told_once_and_only_to_who_gave_it() {
        let mut jane = customer();
        jane.begin();
        let told = "Service Confirmed!\n\nOrder #SO-1\nHonda HRX2 - Won't start, ref 12065550101-1.\n";
        assert!(jane.hear(told).unwrap_err().why.contains("no such order"));
        jane.talk(|talk| talk.ordered_service = true);
        assert_eq!(jane.hear(told), Ok(Reaction::Note));
        assert!(jane.hear(told).unwrap_err().why.contains("told before"));
    }
}
