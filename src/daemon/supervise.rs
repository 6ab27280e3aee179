//! Keeps one line's edge running. An edge that dies (a bug: edges do not end by themselves) is started again after
//! a pause that grows; what was with it is answered as unknown, so that the loop never waits for the dead, and the
//! next one is told from where to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::types::{
    LineCommand, LineEvent, LineId, MediaResult, MessageId, PartId, PostResult, PostsFound, SendResult, Wall,
};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between the loop and an edge, each way.
pub(super) const QUEUE: usize = 256;
/// Texts at an upstream that are followed for the next edge.
const TRACKED_MOST: usize = 5000;

/// What an edge is started with.
pub(super) struct Wires {
    pub(super) commands: mpsc::Receiver<LineCommand>,
    pub(super) events: mpsc::Sender<(LineId, LineEvent)>,
}

/// What is with an edge.
#[derive(Default)]
struct Held {
    /// The PDU, and whether it was allowed to leave.
    sending: Option<(PartId, bool)>,
    posts: BTreeSet<(MessageId, u32)>,
    finds: BTreeSet<MessageId>,
    fetches: BTreeSet<(MessageId, u8)>,
    /// From where the next edge goes on.
    resume: Option<Option<Wall>>,
    tracked: BTreeMap<String, Wall>,
}

impl Held {
    fn told(&mut self, command: &LineCommand) {
        match command {
            LineCommand::Send { part, .. } => self.sending = Some((part.clone(), false)),
            LineCommand::Proceed { part, go: true, .. } => self.sending = Some((part.clone(), true)),
            LineCommand::Proceed { .. } | LineCommand::Free { .. } => {}
            LineCommand::Resume(cursor) => self.resume = Some(*cursor),
            LineCommand::Post(post) => {
                self.posts.insert((post.message.clone(), post.attempt));
            }
            LineCommand::Find { message, .. } => {
                self.finds.insert(message.clone());
            }
            LineCommand::Track { sid, since } => {
                if self.tracked.len() < TRACKED_MOST {
                    self.tracked.insert(sid.clone(), *since);
                }
            }
            LineCommand::Fetch { message, number, .. } => {
                self.fetches.insert((message.clone(), *number));
            }
        }
    }

    fn heard(&mut self, event: &LineEvent) {
        match event {
            LineEvent::SendDone { part, .. } => drop(self.sending.take_if(|(sending, _)| sending == part)),
            LineEvent::Posted { message, attempt, .. } => {
                self.posts.remove(&(message.clone(), *attempt));
            }
            LineEvent::Found { message, .. } => {
                self.finds.remove(message);
            }
            LineEvent::Media { message, number, .. } => {
                self.fetches.remove(&(message.clone(), *number));
            }
            LineEvent::Cursor(at) => self.resume = Some(Some(*at)),
            LineEvent::Status(status) if status.status.is_final() => {
                self.tracked.remove(&status.sid);
            }
            LineEvent::Up { .. }
            | LineEvent::Down { .. }
            | LineEvent::State(_)
            | LineEvent::Received { .. }
            | LineEvent::Unreadable { .. }
            | LineEvent::Prompted { .. }
            | LineEvent::Freed { .. }
            | LineEvent::Swept
            | LineEvent::Text(_)
            | LineEvent::Status(_) => {}
        }
    }

    /// The answers that the edge owes.
    fn answers(&mut self) -> Vec<LineEvent> {
        let why = || "the line's edge died".to_owned();
        let mut answers = Vec::new();
        if let Some((part, left)) = self.sending.take() {
            let why = "the line's edge died while it was sending".to_owned();
            let result = if left { SendResult::Unknown { why } } else { SendResult::NotTried { why } };
            answers.push(LineEvent::SendDone { part, result });
        }
        let posts = std::mem::take(&mut self.posts).into_iter();
        answers.extend(posts.map(|(message, attempt)| LineEvent::Posted {
            message,
            attempt,
            result: PostResult::Unknown { why: why() },
        }));
        let finds = std::mem::take(&mut self.finds).into_iter();
        answers.extend(
            finds.map(|message| LineEvent::Found { message, found: PostsFound::Unreachable { why: why() } }),
        );
        let fetches = std::mem::take(&mut self.fetches).into_iter();
        answers.extend(fetches.map(|(message, number)| LineEvent::Media {
            message,
            number,
            result: MediaResult::Later { why: why() },
        }));
        answers
    }

    /// What the next edge is told first.
    fn again(&self) -> Vec<LineCommand> {
        let tracked =
            self.tracked.iter().map(|(sid, since)| LineCommand::Track { sid: sid.clone(), since: *since });
        self.resume.map(LineCommand::Resume).into_iter().chain(tracked).collect()
    }
}

/// The answer to a command that no edge will have.
fn refused(command: LineCommand) -> Option<LineEvent> {
    let why = "shutting down".to_owned();
    match command {
        LineCommand::Send { part, .. } => {
            Some(LineEvent::SendDone { part, result: SendResult::NotTried { why } })
        }
        LineCommand::Post(post) => Some(LineEvent::Posted {
            message: post.message,
            attempt: post.attempt,
            result: PostResult::NotTried { why },
        }),
        LineCommand::Find { message, .. } => {
            Some(LineEvent::Found { message, found: PostsFound::Unreachable { why } })
        }
        LineCommand::Fetch { message, number, .. } => {
            Some(LineEvent::Media { message, number, result: MediaResult::Later { why } })
        }
        LineCommand::Proceed { .. }
        | LineCommand::Free { .. }
        | LineCommand::Resume(_)
        | LineCommand::Track { .. } => None,
    }
}

/// Runs `edge` for `line` until `stop`, again and again if need be.
pub(super) async fn supervise<F>(
    line: LineId,
    mut commands: mpsc::Receiver<LineCommand>,
    events: mpsc::Sender<(LineId, LineEvent)>,
    mut stop: watch::Receiver<bool>,
    mut edge: impl FnMut(Wires) -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    let mut held = Held::default();
    loop {
        let again = held.again();
        let (to_edge, edge_commands) = mpsc::channel(QUEUE + again.len());
        for command in again {
            // It has room for them.
            drop(to_edge.try_send(command));
        }
        let (edge_events, mut from_edge) = mpsc::channel(QUEUE);
        let mut task = tokio::spawn(edge(Wires { commands: edge_commands, events: edge_events }));
        let mut to_edge = Some(to_edge);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                event = from_edge.recv(), if open => match event {
                    Some((id, event)) => {
                        held.heard(&event);
                        if matches!(event, LineEvent::Swept) {
                            pause = FIRST_PAUSE;
                        }
                        if events.send((id, event)).await.is_err() {
                            return;
                        }
                    }
                    None => open = false,
                },
                ended = &mut task, if !open => {
                    if let Err(error) = ended {
                        tracing::error!(%line, %error, "the line's edge died; it is started again");
                    }
                    break;
                }
                command = commands.recv(), if to_edge.is_some() => match (command, &to_edge) {
                    (Some(command), Some(edge)) => {
                        held.told(&command);
                        // An edge that is gone is noticed above.
                        let _gone = edge.send(command).await;
                    }
                    (None, _) | (_, None) => to_edge = None,
                },
            }
        }
        let mut last = held.answers();
        // With no edge to come, what still waits here was with none.
        while *stop.borrow()
            && let Ok(command) = commands.try_recv()
        {
            last.extend(refused(command));
        }
        last.push(LineEvent::Down { why: "the line's edge ended".to_owned() });
        for event in last {
            if events.send((line.clone(), event)).await.is_err() {
                return;
            }
        }
        if *stop.borrow() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Err: whoever could say so is gone.
            _ = stop.wait_for(|stop| *stop) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Channel, Post};

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_dies_is_started_again_and_its_text_is_unknown() {
        let (to_line, commands) = mpsc::channel(8);
        let (events, mut heard) = mpsc::channel(8);
        let (stop, stopped) = watch::channel(false);
        let mut starts = 0;
        let line = LineId::from("sim1");
        let supervisor =
            tokio::spawn(supervise(line.clone(), commands, events, stopped, move |mut wires| {
                starts += 1;
                let (first, id) = (starts == 1, LineId::from("sim1"));
                async move {
                    let command = wires.commands.recv().await;
                    assert!(!first, "the first edge dies with {command:?}");
                    wires.events.send((id, LineEvent::Swept)).await.unwrap();
                }
            }));
        let part = PartId { message: MessageId::from("SM1"), number: 1 };
        let send = LineCommand::Send { part: part.clone(), pdu: String::new(), length: 0 };
        to_line.send(LineCommand::Proceed { part: part.clone(), attempt: 1, go: true }).await.unwrap();
        let (_, event) = heard.recv().await.unwrap();
        assert!(
            matches!(event, LineEvent::SendDone { part: p, result: SendResult::Unknown { .. } } if p == part)
        );
        assert!(matches!(heard.recv().await.unwrap().1, LineEvent::Down { .. }));
        to_line.send(send).await.unwrap();
        assert_eq!(heard.recv().await.unwrap().1, LineEvent::Swept);
        stop.send_replace(true);
        while heard.recv().await.is_some() {}
        supervisor.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_with_a_dead_edge_is_in_doubt_and_the_next_one_goes_on_from_the_last_cursor() {
        let (to_line, commands) = mpsc::channel(16);
        let (events, mut heard) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let (again, mut told_again) = mpsc::channel(16);
        let mut starts = 0;
        let line = LineId::from("tw");
        let supervisor =
            tokio::spawn(supervise(line.clone(), commands, events, stopped, move |mut wires| {
                starts += 1;
                let (first, id, again) = (starts == 1, LineId::from("tw"), again.clone());
                async move {
                    while let Some(command) = wires.commands.recv().await {
                        match command {
                            LineCommand::Fetch { .. } if first => {
                                let cursor = LineEvent::Cursor(Wall(7));
                                wires.events.send((id.clone(), cursor)).await.unwrap();
                                panic!("the first edge dies");
                            }
                            command => again.send(command).await.unwrap(),
                        }
                    }
                }
            }));
        let message = MessageId::from("SM1");
        let post = Post {
            message: message.clone(),
            attempt: 3,
            channel: Channel::Sms,
            to: String::new(),
            body: String::new(),
            media: Vec::new(),
            template: None,
        };
        let track = LineCommand::Track { sid: "SM9".to_owned(), since: Wall(5) };
        for command in [
            LineCommand::Resume(None),
            track.clone(),
            LineCommand::Post(Box::new(post.clone())),
            LineCommand::Find { message: message.clone(), post: Box::new(post), since: Wall(1) },
            LineCommand::Fetch { message: message.clone(), number: 1, url: String::new() },
        ] {
            to_line.send(command).await.unwrap();
        }
        assert_eq!(heard.recv().await.unwrap().1, LineEvent::Cursor(Wall(7)));
        let (_, posted) = heard.recv().await.unwrap();
        assert!(matches!(posted, LineEvent::Posted { attempt: 3, result: PostResult::Unknown { .. }, .. }));
        let (_, found) = heard.recv().await.unwrap();
        assert!(matches!(found, LineEvent::Found { found: PostsFound::Unreachable { .. }, .. }));
        let (_, media) = heard.recv().await.unwrap();
        assert!(matches!(media, LineEvent::Media { number: 1, result: MediaResult::Later { .. }, .. }));
        assert!(matches!(heard.recv().await.unwrap().1, LineEvent::Down { .. }));
        let mut told = Vec::new();
        while told.len() < 6 {
            told.push(told_again.recv().await.unwrap());
        }
        assert_eq!(told[4..], [LineCommand::Resume(Some(Wall(7))), track]);
        stop.send_replace(true);
        drop((to_line, told_again));
        while heard.recv().await.is_some() {}
        supervisor.await.unwrap();
    }
}
