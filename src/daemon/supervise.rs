//! Keeps one line's edge running. An edge that dies (a bug: edges do not end by themselves) is started again after
//! a pause that grows; what was with it is answered as unknown, so that the loop never waits for the dead. An edge that
//! brings texts whole is told again from when on, and which texts to follow.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::types::{
    ConsentsAnswer, LineCommand, LineEvent, LineId, MediaResult, MessageId, PartId, PostResult, PostsFound,
    SendResult, Wall,
};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between the loop and an edge, each way.
pub(super) const QUEUE: usize = 256;
/// Texts at an upstream that are followed for the next edge, too.
const TRACKED_MOST: usize = 5000;

/// What an edge is started with.
pub(super) struct Wires {
    pub(super) commands: mpsc::Receiver<LineCommand>,
    pub(super) events: mpsc::Sender<(LineId, LineEvent)>,
}

/// What an edge has and has not answered yet.
#[derive(Default)]
struct Owed {
    /// The PDU that is with it, and whether it was allowed to leave.
    sending: Option<(PartId, bool)>,
    posts: BTreeMap<MessageId, u32>,
    looks: BTreeSet<MessageId>,
    files: BTreeSet<(MessageId, u8)>,
    /// Who wants texts: the batch.
    consents: Option<u64>,
    /// From when on texts are told, once that was said.
    resume: Option<Option<Wall>>,
    /// Texts at an upstream that are followed, and since when.
    tracked: BTreeMap<String, Wall>,
}

impl Owed {
    fn told(&mut self, command: &LineCommand) {
        match command {
            LineCommand::Send { part, .. } => self.sending = Some((part.clone(), false)),
            LineCommand::Proceed { part, go: true, .. } => self.sending = Some((part.clone(), true)),
            LineCommand::Post(post) => {
                self.posts.insert(post.message.clone(), post.attempt);
            }
            LineCommand::Find { message, .. } => {
                self.looks.insert(message.clone());
            }
            LineCommand::Fetch { message, number, .. } => {
                self.files.insert((message.clone(), *number));
            }
            LineCommand::Consents { batch, .. } => self.consents = Some(*batch),
            LineCommand::Resume(from) => self.resume = Some(*from),
            LineCommand::Track { sid, since } => {
                if self.tracked.len() < TRACKED_MOST {
                    self.tracked.insert(sid.clone(), *since);
                }
            }
            LineCommand::Proceed { .. } | LineCommand::Free { .. } => {}
        }
    }

    /// What the next edge is told first.
    fn again(&self) -> Vec<LineCommand> {
        let tracked = self.tracked.iter();
        let tracked = tracked.map(|(sid, since)| LineCommand::Track { sid: sid.clone(), since: *since });
        self.resume.map(LineCommand::Resume).into_iter().chain(tracked).collect()
    }

    fn heard(&mut self, event: &LineEvent) {
        match event {
            LineEvent::SendDone { part, .. } if self.sending.as_ref().is_some_and(|(p, _)| p == part) => {
                self.sending = None;
            }
            LineEvent::Posted { message, attempt, .. } if self.posts.get(message) == Some(attempt) => {
                self.posts.remove(message);
            }
            LineEvent::Found { message, .. } => {
                self.looks.remove(message);
            }
            LineEvent::Media { message, number, .. } => {
                self.files.remove(&(message.clone(), *number));
            }
            LineEvent::Consents { .. } => self.consents = None,
            // Everything before it is on its way to the disk, in order.
            LineEvent::Cursor(at) => self.resume = Some(Some(*at)),
            LineEvent::Status(status) if status.status.is_final() => {
                self.tracked.remove(&status.sid);
            }
            LineEvent::SendDone { .. }
            | LineEvent::Posted { .. }
            | LineEvent::Up { .. }
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

    /// The edge is dead: its answers, for it.
    fn answers(&mut self) -> Vec<LineEvent> {
        let why = || "the line's edge died while it had it".to_owned();
        let mut last = Vec::new();
        if let Some((part, left)) = self.sending.take() {
            let result =
                if left { SendResult::Unknown { why: why() } } else { SendResult::NotTried { why: why() } };
            last.push(LineEvent::SendDone { part, result });
        }
        for (message, attempt) in std::mem::take(&mut self.posts) {
            last.push(LineEvent::Posted { message, attempt, result: PostResult::Unknown { why: why() } });
        }
        for message in std::mem::take(&mut self.looks) {
            last.push(LineEvent::Found { message, found: PostsFound::Unreachable { why: why() } });
        }
        for (message, number) in std::mem::take(&mut self.files) {
            last.push(LineEvent::Media { message, number, result: MediaResult::Later { why: why() } });
        }
        if let Some(batch) = self.consents.take() {
            let answer = ConsentsAnswer::Later { why: why(), pause: None };
            last.push(LineEvent::Consents { batch, answer });
        }
        last
    }
}

/// What is answered for a command that no edge will see any more.
fn not_tried(command: LineCommand) -> Option<LineEvent> {
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
        LineCommand::Proceed { .. }
        | LineCommand::Free { .. }
        | LineCommand::Resume(_)
        | LineCommand::Find { .. }
        | LineCommand::Track { .. }
        | LineCommand::Consents { .. }
        | LineCommand::Fetch { .. } => None,
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
    let mut owed = Owed::default();
    loop {
        let again = owed.again();
        let (to_edge, edge_commands) = mpsc::channel(QUEUE + again.len());
        for command in again {
            // The queue is new and empty.
            let _there_is_room = to_edge.try_send(command);
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
                        owed.heard(&event);
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
                        owed.told(&command);
                        // An edge that is gone is noticed above.
                        let _gone = edge.send(command).await;
                    }
                    (None, _) | (_, None) => to_edge = None,
                },
            }
        }
        let mut last = owed.answers();
        // With no edge to come, what still waits here was with no modem.
        while *stop.borrow()
            && let Ok(command) = commands.try_recv()
        {
            last.extend(not_tried(command));
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
    use crate::types::MessageId;

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
    async fn what_an_upstreams_edge_had_is_answered_for_it_and_the_next_one_knows_from_when_on() {
        let (to_line, commands) = mpsc::channel(8);
        let (events, mut heard) = mpsc::channel(8);
        let (stop, stopped) = watch::channel(false);
        let line = LineId::from("twilio");
        let mut starts = 0;
        let supervisor =
            tokio::spawn(supervise(line.clone(), commands, events, stopped, move |mut wires| {
                starts += 1;
                let (first, id) = (starts == 1, LineId::from("twilio"));
                async move {
                    let from = wires.commands.recv().await;
                    if first {
                        assert_eq!(from, Some(LineCommand::Resume(None)));
                        wires.events.send((id, LineEvent::Cursor(Wall(77)))).await.unwrap();
                        let (track, post) = (wires.commands.recv().await, wires.commands.recv().await);
                        panic!("the first edge dies with {track:?} and {post:?}");
                    }
                    assert_eq!(from, Some(LineCommand::Resume(Some(Wall(77)))));
                    let track = LineCommand::Track { sid: "SM9".to_owned(), since: Wall(5) };
                    assert_eq!(wires.commands.recv().await, Some(track));
                    wires.events.send((id, LineEvent::Swept)).await.unwrap();
                }
            }));
        to_line.send(LineCommand::Resume(None)).await.unwrap();
        assert_eq!(heard.recv().await.unwrap().1, LineEvent::Cursor(Wall(77)));
        let message = MessageId::from("SM1");
        let post = crate::types::Post {
            message: message.clone(),
            attempt: 3,
            channel: crate::types::Channel::Sms,
            to: "+12065550142".into(),
            body: "x".into(),
            media: Vec::new(),
            template: None,
        };
        let track = LineCommand::Track { sid: "SM9".to_owned(), since: Wall(5) };
        to_line.send(track).await.unwrap();
        to_line.send(LineCommand::Post(Box::new(post))).await.unwrap();
        let (_, event) = heard.recv().await.unwrap();
        let LineEvent::Posted { message: answered, attempt, result } = event else { panic!("{event:?}") };
        assert_eq!((answered, attempt), (message, 3));
        assert!(matches!(result, PostResult::Unknown { .. }));
        assert!(matches!(heard.recv().await.unwrap().1, LineEvent::Down { .. }));
        assert_eq!(heard.recv().await.unwrap().1, LineEvent::Swept);
        stop.send_replace(true);
        while heard.recv().await.is_some() {}
        supervisor.await.unwrap();
    }
}
