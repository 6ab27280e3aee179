//! The terminal's half of the demonstration: reads texts and commands, shows the conversation. With a person in front
//! it shows texts as they come; with a script it waits for the answer after each line, so that a run reads like a
//! conversation and ends when everything was said.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader, Stdin};

use super::observe::Observer;
use super::phones::Phones;
use super::stage::{Entry, NUMBER, Person, STAFF, Stage, Trouble, Way};
use crate::types::PhoneNumber;

/// Columns that a text takes, at most.
const WIDTH: usize = 76;

const HELP: &str = "Write a text and press Enter: the shop gets it.
/customers          whom you can be, and what they own
/as NAME or NUMBER  be somebody else, also a stranger
/staff [TEXT]       see the staff's phone, or answer: /staff #1 We open at nine.
/offline, /online   the dealer's system goes down, comes back
/cut [TEXT]         pull the plug of the box, text while it is dark, put the plug back
/quit               end; so does Ctrl-D";

/// Where lines come from.
pub(super) enum Script {
    Given(VecDeque<String>),
    StandardInput { input: BufReader<Stdin>, line: Vec<u8>, first: Option<String> },
}

impl Script {
    pub(super) fn given(text: &str) -> Self {
        Self::Given(text.lines().map(str::to_owned).collect())
    }

    pub(super) fn standard_input() -> Self {
        Self::StandardInput { input: BufReader::new(tokio::io::stdin()), line: Vec::new(), first: None }
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// Whether there is any line with something in it; it is not lost by looking.
    async fn has_a_line(&mut self) -> bool {
        while let Some(next) = self.next().await {
            if next.trim().is_empty() {
                continue;
            }
            match self {
                Self::Given(lines) => lines.push_front(next),
                Self::StandardInput { first, .. } => *first = Some(next),
            }
            return true;
        }
        false
    }

    /// May be dropped while it waits: what was read of a line is kept.
    async fn next(&mut self) -> Option<String> {
        match self {
            Self::Given(lines) => lines.pop_front(),
            Self::StandardInput { input, line, first } => {
                if first.is_some() {
                    return first.take();
                }
                let read = input.read_until(b'\n', line).await;
                if line.is_empty() || read.is_err() {
                    return None;
                }
                Some(String::from_utf8_lossy(&std::mem::take(line)).into_owned())
            }
        }
    }
}

/// Where the conversation is shown.
pub(super) struct Screen {
    colours: bool,
    interactive: bool,
}

impl Screen {
    pub(super) fn standard_output(interactive: bool) -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { colours, interactive: interactive && io::stdout().is_terminal() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        // A prompt may stand there; what comes now takes its line.
        if self.interactive {
            out.write_all(b"\r\x1b[K")?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn prompt(&self, name: &str) -> io::Result<()> {
        if !self.interactive {
            return Ok(());
        }
        self.write(&self.paint("1;34", &format!("{name} > ")))
    }

    fn bubble(&self, who: &str, entry: &Entry) -> io::Result<()> {
        let shop = entry.way == Way::FromShop;
        let colour = if shop { "32" } else { "34" };
        let (indent, bar) = if shop { ("", "│") } else { ("    ", "┃") };
        let head = format!("{who}, {}", entry.at.strftime("%H:%M:%S"));
        let mut text = format!("{indent}{}\n", self.paint(&format!("1;{colour}"), &head));
        for line in wrapped(&entry.body, WIDTH) {
            text.push_str(format!("{indent}{} {line}", self.paint(colour, bar)).trim_end());
            text.push('\n');
        }
        text.push('\n');
        self.write(&text)
    }

    fn note(&self, body: &str) -> io::Result<()> {
        let mut text = String::new();
        for line in wrapped(body, WIDTH) {
            text.push_str(self.paint("33", format!("* {line}").trim_end()).as_str());
            text.push('\n');
        }
        text.push('\n');
        self.write(&text)
    }

    fn plain(&self, body: &str) -> io::Result<()> {
        self.write(&format!("{body}\n\n"))
    }
}

/// Lines of at most `width` characters, broken at spaces; no control characters, which a terminal would obey.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let clean: String = line.chars().filter(|c| !c.is_control()).collect();
        let mut current = String::new();
        for word in clean.split(' ') {
            let room = current.chars().count() + 1 + word.chars().count() <= width;
            if !current.is_empty() && !room {
                lines.push(std::mem::take(&mut current));
            } else if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

/// The conversation in the terminal.
pub(super) struct Talk {
    stage: Arc<Stage>,
    screen: Screen,
    me: Person,
    offline: bool,
    /// Entries of the history that were shown.
    shown: usize,
    /// Every text of the script was answered, where an answer was due.
    answered: bool,
}

enum Next {
    Go,
    Quit,
}

impl From<io::Error> for Next {
    /// Nobody reads any more.
    fn from(_: io::Error) -> Self {
        Self::Quit
    }
}

impl Talk {
    pub(super) fn new(stage: Arc<Stage>, screen: Screen, offline: bool) -> Self {
        let me = stage.people.first().cloned().unwrap_or_else(|| stage.person(NUMBER));
        Self { stage, screen, me, offline, shown: 0, answered: true }
    }

    /// Talks until the script ends; if nothing is in it, plays `instead`. Answers whether everything was answered.
    ///
    /// # Errors
    /// The emulated modem has ended, or the box does not start any more.
    pub(super) async fn hold(
        &mut self,
        mut script: Script,
        instead: Option<&str>,
        page: Option<&str>,
    ) -> Result<bool, Trouble> {
        if self.greet(page).is_err() {
            return Ok(true);
        }
        if let Some(instead) = instead
            && !script.has_a_line().await
        {
            script = Script::given(instead);
        }
        let mut news = self.stage.watch();
        loop {
            if self.show_new().and_then(|()| self.screen.prompt(&self.me.name)).is_err() {
                return Ok(true);
            }
            let line = if self.screen.interactive {
                tokio::select! {
                    line = script.next() => line,
                    // The stage outlives the talk, so that this is news.
                    _news = news.changed() => continue,
                }
            } else {
                script.next().await
            };
            let Some(line) = line else { break };
            if matches!(self.take(line.trim()).await?, Next::Quit) {
                break;
            }
        }
        if !self.screen.interactive {
            self.answered &= self.stage.settle().await?;
        }
        // Whoever stopped reading has seen enough.
        drop(self.show_new());
        Ok(self.answered)
    }

    fn greet(&mut self, page: Option<&str>) -> io::Result<()> {
        let mut text = format!(
            "{} can be texted at {NUMBER}: an emulated modem, a simulated dealer, the real box.",
            self.stage.shop_name
        );
        if self.offline {
            text.push_str(
                "\nThe dealer's system is DOWN. Before that, the box fetched what is known of its customers; it \
                 goes on with that, and orders wait on the box. /online brings the dealer back.",
            );
            // Said here; the history says it too.
            self.shown = self.stage.history(0).len();
        }
        if let Some(page) = page {
            text.push_str(&format!("\nOn a page: {page}"));
        }
        for words in self.stage.phones.iter().flat_map(Phones::words) {
            text.push('\n');
            text.push_str(&words);
        }
        let owns = Observer::open(&self.stage.storage()).and_then(|o| o.owns(&self.me.phone));
        let owns = owns.unwrap_or_default().join(", ");
        text.push_str(&format!("\nYou are {}, who owns {owns}.", self.me.name));
        if self.screen.interactive {
            text.push_str(" Write a text to the shop, such as Hi; /help lists what else you can do.");
        }
        self.screen.plain(&wrapped(&text, WIDTH + 2).join("\n"))
    }

    fn show_new(&mut self) -> io::Result<()> {
        for entry in self.stage.history(self.shown) {
            self.shown += 1;
            self.show(&entry)?;
        }
        Ok(())
    }

    fn show(&self, entry: &Entry) -> io::Result<()> {
        let name = self.stage.person(&entry.person).name;
        match entry.way {
            Way::Note => self.screen.note(&entry.body),
            // It stands there: somebody typed it.
            Way::FromTerminal if self.screen.interactive => Ok(()),
            Way::FromTerminal => self.screen.bubble(&name, entry),
            Way::FromPage if entry.person == self.me.phone => self.screen.bubble(&name, entry),
            Way::FromShop if entry.person == self.me.phone => {
                self.screen.bubble(&self.stage.shop_name, entry)
            }
            Way::FromPage => Ok(()),
            Way::FromShop => {
                let who = format!("{} to {name}", self.stage.shop_name);
                self.screen.bubble(&who, entry)
            }
        }
    }

    async fn take(&mut self, line: &str) -> Result<Next, Trouble> {
        let Some(command) = line.strip_prefix('/') else {
            if !line.is_empty() {
                self.say(&self.me.phone.clone(), line).await?;
            }
            return Ok(Next::Go);
        };
        let (command, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let told = match command {
            "quit" | "q" | "exit" => return Ok(Next::Quit),
            "help" | "?" => self.screen.plain(HELP),
            "customers" => self.customers()?,
            "as" => self.become_somebody(rest),
            "staff" if rest.is_empty() => self.staff(),
            "staff" => {
                self.say(STAFF, rest).await?;
                Ok(())
            }
            "offline" => {
                self.stage.set_dealer(false)?;
                Ok(())
            }
            "online" => {
                self.stage.set_dealer(true)?;
                if !self.screen.interactive {
                    self.answered &= self.stage.settle().await?;
                }
                Ok(())
            }
            "cut" => {
                self.cut(rest).await?;
                Ok(())
            }
            other => self.screen.plain(&format!("There is no /{other}. {HELP}")),
        };
        Ok(told.map_or_else(Next::from, |()| Next::Go))
    }

    async fn say(&mut self, from: &str, body: &str) -> Result<(), Trouble> {
        if self.screen.interactive {
            return self.stage.text(from, body, Way::FromTerminal).await;
        }
        if !self.stage.text_and_wait(from, body).await? {
            self.answered = false;
            self.stage.note("The box did not come to rest after this text.".to_owned());
        }
        Ok(())
    }

    async fn cut(&mut self, meanwhile: &str) -> Result<(), Trouble> {
        let me = self.me.phone.clone();
        let before = self.stage.heard_from(&me)?;
        let text = (!meanwhile.is_empty()).then_some((me.as_str(), meanwhile));
        if !self.stage.cut(text).await? {
            self.answered = false;
            self.stage.note("Something was lost. That must not happen.".to_owned());
        }
        if text.is_some() && !self.screen.interactive {
            self.answered &= self.stage.settle_after(&me, before).await?;
        }
        Ok(())
    }

    fn customers(&self) -> Result<io::Result<()>, Trouble> {
        let observer = Observer::open(&self.stage.storage())?;
        let mut text = String::new();
        for (number, person) in self.stage.people.iter().filter(|p| p.phone != STAFF).enumerate() {
            let owns = observer.owns(&person.phone)?.join(", ");
            let owns = if owns.is_empty() { "nothing on file".to_owned() } else { owns };
            text.push_str(&format!("{:>2}. {}  {}: {owns}\n", number + 1, person.phone, person.name));
        }
        text.push_str("Be one with /as 3, /as Priya or /as +12065550104.");
        Ok(self.screen.plain(&text))
    }

    fn become_somebody(&mut self, who: &str) -> io::Result<()> {
        let by_place = who.parse::<usize>().ok().and_then(|n| self.stage.people.get(n.checked_sub(1)?));
        let by_name = || {
            let who = who.to_lowercase();
            self.stage.people.iter().find(|p| !who.is_empty() && p.name.to_lowercase().contains(&who))
        };
        let found = by_place.or_else(by_name).cloned().or_else(|| {
            let number = PhoneNumber::parse(who, Some("1")).ok()?;
            Some(self.stage.person(number.as_str()))
        });
        let Some(found) = found else {
            return self.screen.plain(&format!("Nobody here is called {who:?}. /customers lists them."));
        };
        self.me = found;
        self.screen.note(&format!("You are {} now.", self.me.name))
    }

    fn staff(&self) -> io::Result<()> {
        let texts: Vec<Entry> = self.stage.history(0).into_iter().filter(|e| e.person == STAFF).collect();
        if texts.is_empty() {
            return self.screen.plain(
                "The staff's phone has no texts. Choose Text Shop in the main menu, and they get yours here.",
            );
        }
        for entry in texts {
            let who = if entry.way == Way::FromShop { self.stage.shop_name.as_str() } else { "Staff" };
            self.screen.bubble(who, &entry)?;
        }
        self.screen.plain("Answer with the customer's number in front: /staff #1 We open at nine.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_spaces_and_a_text_gives_a_terminal_no_orders() {
        assert_eq!(wrapped("one two three\n\nfour", 8), ["one two", "three", "", "four"]);
        assert_eq!(wrapped("\x1b[2Jred\u{7}\r\nx", 80), ["[2Jred", "x"]);
        assert_eq!(
            wrapped("https://pay.example/a-long-address next", 10)[0],
            "https://pay.example/a-long-address"
        );
    }

    #[tokio::test]
    async fn looking_for_a_line_does_not_lose_it() {
        let mut script = Script::given("\n  \nHi\n2\n");
        assert!(script.has_a_line().await);
        assert_eq!(script.next().await.as_deref(), Some("Hi"));
        assert_eq!(script.next().await.as_deref(), Some("2"));
        assert!(!script.has_a_line().await);
    }
}
