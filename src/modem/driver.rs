//! The loop: deliver events, write, wait for whatever comes first, feed it in.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::ModemConfig;
use super::find::{self, Known};
use super::pin_memory::PinMemory;
use super::port::{OpenPort, Ports};
use crate::at::{Engine, Event, SimPin};
use crate::types::{LineCommand, LineEvent, LineId, Mono};

/// Between two looks at the places where the modem may be.
const SEARCH_PAUSE: Duration = Duration::from_millis(500);
/// A port that takes no bytes for so long is dead: an AT command is at most 400 of them.
const WRITE: Duration = Duration::from_secs(5);
/// Reads in a row before timers are looked at, so that a chatty modem cannot hold them up.
const READS_IN_A_ROW: u32 = 64;
/// How long the daemon may take for each of the last events at shutdown.
const LAST_EVENTS: Duration = Duration::from_millis(500);

/// See the head of this file.
pub(super) struct Driver {
    config: ModemConfig,
    ports: Ports,
    commands: Option<mpsc::Receiver<LineCommand>>,
    events: mpsc::Sender<(LineId, LineEvent)>,
    engine: Engine,
    pin: Option<PinMemory>,
    known: Known,
    outbox: VecDeque<LineEvent>,
    reads: u32,
    reopen: bool,
    came_up: bool,
    /// Nobody takes events any more.
    deaf: bool,
    stopped: bool,
}

/// A search that is under way; it has its own copy of what it needs, so that the line goes on answering commands.
type Search<'a> = Pin<Box<dyn Future<Output = Result<OpenPort, String>> + Send + 'a>>;

enum Link<'a> {
    Searching(Search<'a>),
    Open(OpenPort),
}

enum Input {
    Shutdown,
    NobodyListens,
    Command(Option<LineCommand>),
    Read(io::Result<usize>),
    Found(Result<OpenPort, String>),
    Due,
}

impl Driver {
    pub(super) fn new(
        config: ModemConfig,
        ports: Ports,
        commands: mpsc::Receiver<LineCommand>,
        events: mpsc::Sender<(LineId, LineEvent)>,
    ) -> Self {
        let pin = config.pin.as_ref().map(|pin| PinMemory::new(config.pin_memory.clone(), pin));
        let already_tried = pin.as_ref().is_some_and(PinMemory::is_tried);
        let sim_pin = config.pin.clone().map(|pin| SimPin { pin, already_tried });
        Self {
            engine: Engine::new(config.settings.clone(), sim_pin),
            config,
            ports,
            commands: Some(commands),
            events,
            pin,
            known: Known::default(),
            outbox: VecDeque::new(),
            reads: 0,
            reopen: false,
            came_up: false,
            deaf: false,
            stopped: false,
        }
    }

    pub(super) async fn run(
        mut self,
        now: &(impl Fn() -> Mono + Send + Sync),
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut stopping = false;
        let mut bytes = vec![0u8; 4096];
        let mut link = Link::Searching(self.search(Duration::ZERO, now));
        loop {
            self.take_events();
            if std::mem::take(&mut self.came_up) {
                self.claim_modem(&mut link);
            }
            self.write(&mut link, now).await;
            if std::mem::take(&mut self.reopen) {
                link = Link::Searching(self.search(SEARCH_PAUSE, now));
            }
            if self.stopped {
                self.refuse_commands(now());
                if self.outbox.is_empty() {
                    return;
                }
            }
            let free = self.outbox.is_empty();
            let due = self.engine.poll_timeout().filter(|_| free || stopping).map(|(at, _)| at.since(now()));
            let input = tokio::select! {
                biased;
                () = &mut shutdown, if !stopping => Input::Shutdown,
                permit = self.events.reserve(), if !free => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.outbox.pop_front() {
                            permit.send((self.config.line.clone(), event));
                        }
                        continue;
                    }
                    Err(_) => Input::NobodyListens,
                },
                () = self.events.closed(), if !self.deaf => Input::NobodyListens,
                command = next_command(&mut self.commands) => Input::Command(command),
                input = link.next(&mut bytes, free), if !self.stopped => input,
                () = sleep_for(due) => Input::Due,
                () = sleep(LAST_EVENTS), if self.stopped => return,
            };
            stopping |= matches!(input, Input::Shutdown | Input::NobodyListens);
            self.take(input, &mut link, &bytes, now());
        }
    }

    fn take(&mut self, input: Input, link: &mut Link<'_>, bytes: &[u8], now: Mono) {
        match input {
            Input::Shutdown => self.engine.handle_shutdown(now),
            // The modem is left in order all the same.
            Input::NobodyListens => {
                self.deaf = true;
                self.outbox.clear();
                self.engine.handle_shutdown(now);
            }
            Input::Command(Some(command)) => self.engine.handle_command(command, now),
            Input::Command(None) => self.commands = None,
            Input::Read(Ok(count)) if count > 0 => self.feed(bytes.get(..count).unwrap_or_default(), now),
            Input::Read(Ok(_)) => self.closed("the port is gone", now),
            Input::Read(Err(error)) => self.closed(&format!("the port is gone ({error})"), now),
            Input::Found(Ok(port)) => {
                tracing::info!(line = %self.config.line, port = %port.path.display(), "port opened");
                self.known.path = Some(port.path.clone());
                *link = Link::Open(port);
                self.engine.handle_opened(now);
            }
            Input::Found(Err(why)) => self.closed(&why, now),
            Input::Due => {
                self.reads = 0;
                self.engine.handle_timeout(now);
            }
        }
    }

    /// What was on its way here at the end is answered too.
    fn refuse_commands(&mut self, now: Mono) {
        let Some(mut commands) = self.commands.take() else { return };
        commands.close();
        while let Ok(command) = commands.try_recv() {
            self.engine.handle_command(command, now);
        }
        self.take_events();
    }

    /// A modem that is up is this line's, also its other ports.
    fn claim_modem(&mut self, link: &mut Link<'_>) {
        let (Link::Open(port), Some(imei)) = (link, &self.known.imei) else { return };
        if port.holds(imei) {
            return;
        }
        match self.ports.claim(imei.as_str()) {
            Some(claim) => port.keep(claim),
            None => tracing::error!(line = %self.config.line, imei, "another line uses this modem too"),
        }
    }

    fn search<'a>(&self, pause: Duration, now: &'a (impl Fn() -> Mono + Send + Sync)) -> Search<'a> {
        let (config, known, ports) = (self.config.clone(), self.known.clone(), self.ports.clone());
        Box::pin(async move {
            sleep(pause).await;
            find::find(&config, &known, &ports, now).await
        })
    }

    fn feed(&mut self, bytes: &[u8], now: Mono) {
        self.engine.handle_bytes(bytes, now);
        self.reads += 1;
        if self.reads >= READS_IN_A_ROW {
            self.reads = 0;
            self.engine.handle_timeout(now);
        }
    }

    fn closed(&mut self, why: &str, now: Mono) {
        self.engine.handle_closed(why, now);
        self.reopen = true;
    }

    /// Takes what the engine has to say; what is for the daemon waits in the outbox until it has room.
    fn take_events(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Line(event) => {
                    self.log(&event);
                    if !self.deaf {
                        self.outbox.push_back(event);
                    }
                }
                Event::Reopen { why } => {
                    tracing::warn!(line = %self.config.line, why, "port closed, to be opened again");
                    self.reopen = true;
                }
                Event::PinTry => self.pin_memory("remember", PinMemory::remember),
                Event::PinAccepted => self.pin_memory("forget", PinMemory::forget),
                Event::Stopped => self.stopped = true,
            }
        }
    }

    fn pin_memory(&self, what: &str, act: impl Fn(&PinMemory) -> io::Result<()>) {
        if let Some(Err(error)) = self.pin.as_ref().map(act) {
            tracing::error!(line = %self.config.line, %error, "cannot {what} that the PIN was tried");
        }
    }

    fn log(&mut self, event: &LineEvent) {
        let line = &self.config.line;
        match event {
            LineEvent::Up { identity, .. } => {
                tracing::info!(%line, identity, "line up");
                let is_imei = identity.bytes().all(|b| b.is_ascii_digit());
                self.known.imei = is_imei.then(|| identity.clone());
                self.came_up = true;
            }
            LineEvent::Down { why } => {
                tracing::warn!(%line, why, counters = ?self.engine.counters(), "line down");
            }
            LineEvent::State(state) => {
                tracing::debug!(%line, registration = ?state.registration, signal = ?state.signal_dbm, "line state");
                if let Some(needs) = &state.needs {
                    tracing::warn!(%line, needs, "the line needs a person");
                }
            }
            LineEvent::Received { .. }
            | LineEvent::Unreadable { .. }
            | LineEvent::Prompted { .. }
            | LineEvent::SendDone { .. }
            | LineEvent::Freed { .. }
            | LineEvent::Swept
            | LineEvent::Text(_)
            | LineEvent::Cursor(_)
            | LineEvent::Posted { .. }
            | LineEvent::Found { .. }
            | LineEvent::Status(_)
            | LineEvent::Consents { .. }
            | LineEvent::Media { .. } => {}
        }
    }

    /// Writes what the engine wants written. What it still holds when the port fails was never handed over.
    async fn write(&mut self, link: &mut Link<'_>, now: &(impl Fn() -> Mono + Sync)) {
        while !self.reopen {
            let Some(bytes) = self.engine.poll_transmit() else { return };
            let Link::Open(port) = link else { continue };
            let failed = match timeout(WRITE, port.stream.write_all(&bytes)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "it takes no bytes".to_owned(),
            };
            self.closed(&format!("the port is gone ({failed})"), now());
            self.take_events();
        }
    }
}

impl Link<'_> {
    /// The next thing from outside. Nothing is lost when this is dropped half way: a search goes on where it was.
    async fn next(&mut self, bytes: &mut [u8], may_read: bool) -> Input {
        match self {
            Self::Searching(search) => Input::Found(search.as_mut().await),
            Self::Open(port) if may_read => Input::Read(port.stream.read(bytes).await),
            Self::Open(_) => pending().await,
        }
    }
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
