//! The loop of one line: deliver events, make the requests that the machine wants, wait for whatever comes first, feed
//! it in. What anything means is decided in `line`; what is decided here is that nothing more is asked for while the
//! daemon does not take what came.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::sleep;
use tracing::Level;

use super::ask::{Action, Ask, Reply, Ticket};
use super::client::Client;
use super::line::{Line, Setup};
use crate::config::UpstreamLine;
use crate::types::{LineCommand, LineEvent, LineId, Mono, Now, Wall};

/// Events that wait for the daemon before nothing more is asked for.
const OUTBOX: usize = 512;
/// How long the daemon may take for each of the last events at shutdown.
const LAST_EVENTS: Duration = Duration::from_millis(300);

/// Runs one line until `shutdown` is ready, or nobody listens to `events` any more. It begins when it is told from
/// where ([`LineCommand::Resume`]). Every [`LineCommand::Post`], [`LineCommand::Find`] and [`LineCommand::Fetch`] is
/// answered, also at shutdown; the last event is [`LineEvent::Down`].
///
/// `mono` is the clock of the cores; `seed` spreads retries. A closed `commands` channel alone ends nothing.
pub async fn run(
    line: UpstreamLine,
    seed: u64,
    commands: mpsc::Receiver<LineCommand>,
    events: mpsc::Sender<(LineId, LineEvent)>,
    mono: impl Fn() -> Mono + Send + Sync,
    shutdown: impl Future<Output = ()> + Send,
) {
    let client = match Client::new(&line) {
        Ok(client) => Arc::new(client),
        Err(why) => return cannot_run(&line, why, commands, events, &mono, shutdown).await,
    };
    let driver = Driver {
        machine: Line::new(Setup::of(&line), seed),
        line: Arc::new(line),
        client,
        commands: Some(commands),
        events,
        outbox: VecDeque::new(),
        requests: JoinSet::new(),
        by_task: BTreeMap::new(),
        by_ticket: BTreeMap::new(),
        stopping: false,
        deaf: false,
        alarm: Alarm::default(),
    };
    driver.run(&mono, shutdown).await;
}

/// Says so once and refuses what comes: to be started again would change nothing.
async fn cannot_run(
    line: &UpstreamLine,
    why: String,
    mut commands: mpsc::Receiver<LineCommand>,
    events: mpsc::Sender<(LineId, LineEvent)>,
    mono: &(impl Fn() -> Mono + Sync),
    shutdown: impl Future<Output = ()> + Send,
) {
    tracing::error!(line = %line.id, why, "the line cannot be used");
    let mut shutdown = pin!(shutdown);
    let mut machine = Line::new(Setup::of(line), 0);
    machine.break_down(why);
    loop {
        while let Some(action) = machine.poll_action() {
            if let Action::Tell(event) = action
                && events.send((line.id.clone(), event)).await.is_err()
            {
                return;
            }
        }
        tokio::select! {
            () = &mut shutdown => return,
            Some(command) = commands.recv() => machine.handle_command(command, now(mono)),
            else => return shutdown.await,
        }
    }
}

struct Driver {
    machine: Line,
    line: Arc<UpstreamLine>,
    client: Arc<Client>,
    commands: Option<mpsc::Receiver<LineCommand>>,
    events: mpsc::Sender<(LineId, LineEvent)>,
    outbox: VecDeque<LineEvent>,
    requests: JoinSet<Reply>,
    by_task: BTreeMap<Id, (Ticket, Ask)>,
    by_ticket: BTreeMap<Ticket, AbortHandle>,
    stopping: bool,
    /// Nobody takes events any more.
    deaf: bool,
    alarm: Alarm,
}

/// What a line needs of a person is said once and loudly; what follows from it is said quietly until it is up again.
#[derive(Default)]
struct Alarm {
    stands: Option<String>,
}

impl Alarm {
    /// How loudly an event of the line is logged.
    fn level(&mut self, event: &LineEvent) -> Level {
        match event {
            LineEvent::Up { .. } => {
                self.stands = None;
                Level::INFO
            }
            LineEvent::State(state) if state.needs.is_some() && state.needs != self.stands => {
                self.stands.clone_from(&state.needs);
                Level::ERROR
            }
            LineEvent::Down { .. } if self.stands.is_none() => Level::WARN,
            LineEvent::Down { .. }
            | LineEvent::State(_)
            | LineEvent::Swept
            | LineEvent::Text(_)
            | LineEvent::Received { .. }
            | LineEvent::Unreadable { .. }
            | LineEvent::Prompted { .. }
            | LineEvent::SendDone { .. }
            | LineEvent::Freed { .. }
            | LineEvent::Cursor(_)
            | LineEvent::Posted { .. }
            | LineEvent::Found { .. }
            | LineEvent::Status(_)
            | LineEvent::Consents { .. }
            | LineEvent::Media { .. } => Level::DEBUG,
        }
    }
}

enum Input {
    Shutdown,
    NobodyListens,
    Command(Option<LineCommand>),
    Answer(Result<(Id, Reply), JoinError>),
    Due,
}

impl Driver {
    async fn run(mut self, mono: &(impl Fn() -> Mono + Sync), shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            self.act();
            if self.machine.is_stopped() {
                self.refuse_commands(now(mono));
                if self.outbox.is_empty() {
                    return;
                }
            }
            let room = self.has_room();
            let due = self.machine.poll_timeout().filter(|_| room || self.stopping);
            let due = due.map(|(at, _)| at.since(mono()));
            let input = tokio::select! {
                biased;
                () = &mut shutdown, if !self.stopping => Input::Shutdown,
                permit = self.events.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.outbox.pop_front() {
                            permit.send((self.line.id.clone(), event));
                        }
                        continue;
                    }
                    Err(_) => Input::NobodyListens,
                },
                () = self.events.closed(), if !self.deaf => Input::NobodyListens,
                Some(answer) = self.requests.join_next_with_id() => Input::Answer(answer),
                command = next_command(&mut self.commands), if room => Input::Command(command),
                () = sleep_for(due) => Input::Due,
                () = sleep(LAST_EVENTS), if self.machine.is_stopped() => return,
            };
            self.take(input, now(mono));
        }
    }

    fn has_room(&self) -> bool {
        self.outbox.len() < OUTBOX
    }

    fn take(&mut self, input: Input, now: Now) {
        match input {
            Input::Shutdown => {
                self.stopping = true;
                self.machine.handle_shutdown(now);
            }
            Input::NobodyListens => {
                (self.stopping, self.deaf) = (true, true);
                self.outbox.clear();
                self.machine.handle_shutdown(now);
            }
            Input::Command(Some(command)) => self.machine.handle_command(command, now),
            Input::Command(None) => self.commands = None,
            Input::Answer(Ok((task, reply))) => {
                if let Some((ticket, _)) = self.by_task.remove(&task) {
                    self.by_ticket.remove(&ticket);
                    self.machine.handle_reply(ticket, reply, now);
                }
            }
            Input::Answer(Err(died)) => {
                let Some((ticket, ask)) = self.by_task.remove(&died.id()) else { return };
                self.by_ticket.remove(&ticket);
                tracing::error!(line = %self.line.id, error = %died, "a request died");
                self.machine.handle_reply(ticket, Reply::lost(&ask, "the request died"), now);
            }
            Input::Due => self.machine.handle_timeout(now),
        }
    }

    /// Does what the machine wants, as long as there is room for what it says.
    fn act(&mut self) {
        while self.has_room() || self.stopping {
            match self.machine.poll_action() {
                Some(Action::Tell(event)) => {
                    self.log(&event);
                    if !self.deaf {
                        self.outbox.push_back(event);
                    }
                }
                Some(Action::Request(ticket, ask)) => {
                    let (client, line, what) = (self.client.clone(), self.line.clone(), ask.clone());
                    let task = self.requests.spawn(async move { answer(&client, &line, what).await });
                    self.by_task.insert(task.id(), (ticket, ask));
                    self.by_ticket.insert(ticket, task);
                }
                Some(Action::Abandon(ticket)) => {
                    if let Some(task) = self.by_ticket.remove(&ticket) {
                        self.by_task.remove(&task.id());
                        task.abort();
                    }
                }
                None => return,
            }
        }
    }

    /// What was on its way here at the end is answered too.
    fn refuse_commands(&mut self, now: Now) {
        let Some(mut commands) = self.commands.take() else { return };
        commands.close();
        while let Ok(command) = commands.try_recv() {
            self.machine.handle_command(command, now);
        }
        self.act();
    }

    fn log(&mut self, event: &LineEvent) {
        let line = &self.line.id;
        let level = self.alarm.level(event);
        match event {
            LineEvent::Up { identity, .. } => tracing::info!(%line, identity, "line up"),
            LineEvent::Down { why } if level == Level::WARN => tracing::warn!(%line, why, "line down"),
            LineEvent::Down { why } => tracing::debug!(%line, why, "line down"),
            LineEvent::State(state) => {
                if let Some(needs) = state.needs.as_ref().filter(|_| level == Level::ERROR) {
                    tracing::error!(%line, needs, "the line needs a person");
                }
            }
            LineEvent::Swept => tracing::debug!(%line, "all that came in meanwhile has been told"),
            LineEvent::Text(text) => tracing::debug!(%line, sid = text.sid, "a text came in"),
            LineEvent::Received { .. }
            | LineEvent::Unreadable { .. }
            | LineEvent::Prompted { .. }
            | LineEvent::SendDone { .. }
            | LineEvent::Freed { .. }
            | LineEvent::Cursor(_)
            | LineEvent::Posted { .. }
            | LineEvent::Found { .. }
            | LineEvent::Status(_)
            | LineEvent::Consents { .. }
            | LineEvent::Media { .. } => {}
        }
    }
}

async fn answer(client: &Client, line: &UpstreamLine, ask: Ask) -> Reply {
    match ask {
        Ask::List(listing) => Reply::Messages(client.messages(&listing).await),
        Ask::Page(uri) => Reply::Messages(client.more_messages(&uri).await),
        Ask::Media(sid) => Reply::Media(client.media(&sid).await),
        Ask::Message(sid) => Reply::Message(Box::new(client.message(&sid).await)),
        Ask::Create(post) => Reply::Message(Box::new(client.create_message(line, &post, wall()).await)),
        Ask::Download(url) => Reply::File(client.download(&url, line.max_media).await),
        Ask::Consents(items) => Reply::Consents(client.tell_consents(line, &items).await),
    }
}

/// The wall clock only helps to compare what the daemon says with the upstream's clock.
fn now(mono: &impl Fn() -> Mono) -> Now {
    Now { mono: mono(), wall: wall(), wall_sure: false }
}

fn wall() -> Wall {
    Wall(jiff::Timestamp::now().as_millisecond())
}

async fn next_command(commands: &mut Option<mpsc::Receiver<LineCommand>>) -> Option<LineCommand> {
    match commands {
        Some(commands) => commands.recv().await,
        None => pending().await,
    }
}

async fn sleep_for(due: Option<Duration>) {
    match due {
        Some(due) => sleep(due).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LineState;

    #[test]
    fn a_line_that_is_refused_says_so_once_and_once_that_it_is_well() {
        let needs = |what: Option<&str>| {
            LineEvent::State(LineState { needs: what.map(str::to_owned), ..LineState::default() })
        };
        let down = || LineEvent::Down { why: "it is refused".to_owned() };
        let up = || LineEvent::Up { identity: "AC1".to_owned(), sim: None, number: None };
        let mut alarm = Alarm::default();
        let said: Vec<Level> = [
            up(),
            needs(Some("other credentials")),
            down(),
            // The network goes meanwhile, and comes back.
            needs(None),
            down(),
            needs(Some("other credentials")),
            down(),
            up(),
            LineEvent::Swept,
            down(),
        ]
        .iter()
        .map(|event| alarm.level(event))
        .filter(|level| *level <= Level::INFO)
        .collect();
        assert_eq!(said, [Level::INFO, Level::ERROR, Level::INFO, Level::WARN]);
    }
}
