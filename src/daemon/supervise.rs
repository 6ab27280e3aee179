//! Keeps one line's edge running. An edge that dies (a bug: edges do not end by themselves) is started again after
//! a pause that grows; the text that was with it is answered as unknown, so that the loop never waits for the dead.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::types::{LineCommand, LineEvent, LineId, PartId, SendResult};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between the loop and an edge, each way.
pub(super) const QUEUE: usize = 256;

/// What an edge is started with.
pub(super) struct Wires {
    pub(super) commands: mpsc::Receiver<LineCommand>,
    pub(super) events: mpsc::Sender<(LineId, LineEvent)>,
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
    loop {
        let (to_edge, edge_commands) = mpsc::channel(QUEUE);
        let (edge_events, mut from_edge) = mpsc::channel(QUEUE);
        let mut task = tokio::spawn(edge(Wires { commands: edge_commands, events: edge_events }));
        // The text that is with the edge, and whether it was allowed to leave.
        let mut sending: Option<(PartId, bool)> = None;
        let mut to_edge = Some(to_edge);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                event = from_edge.recv(), if open => match event {
                    Some((id, event)) => {
                        if matches!(&event, LineEvent::SendDone { part, .. } if sending.as_ref().is_some_and(|(p, _)| p == part)) {
                            sending = None;
                        }
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
                        match &command {
                            LineCommand::Send { part, .. } => sending = Some((part.clone(), false)),
                            LineCommand::Proceed { part, go: true, .. } => sending = Some((part.clone(), true)),
                            LineCommand::Proceed { .. }
                            | LineCommand::Free { .. }
                            | LineCommand::Resume(_)
                            | LineCommand::Post(_)
                            | LineCommand::Find { .. }
                            | LineCommand::Track { .. }
                            | LineCommand::Fetch { .. } => {}
                        }
                        // An edge that is gone is noticed above.
                        let _gone = edge.send(command).await;
                    }
                    (None, _) | (_, None) => to_edge = None,
                },
            }
        }
        let mut last = Vec::new();
        if let Some((part, left)) = sending.take() {
            let why = "the line's edge died while it was sending".to_owned();
            let result = if left { SendResult::Unknown { why } } else { SendResult::NotTried { why } };
            last.push(LineEvent::SendDone { part, result });
        }
        // With no edge to come, what still waits here was with no modem.
        while *stop.borrow()
            && let Ok(command) = commands.try_recv()
        {
            if let LineCommand::Send { part, .. } = command {
                let result = SendResult::NotTried { why: "shutting down".to_owned() };
                last.push(LineEvent::SendDone { part, result });
            }
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
}
