//! What the thread is told, and how it is woken: a queue under a lock that is held for a push or a swap, and an
//! eventfd. Not bounded: it holds what the loop and signalling decided, a few for each leg, and dropping one would
//! leave a call deaf.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use crate::media::MediaReport;
use crate::media::facts::{Counts, Facts};
use crate::media::line::Sockets;
use crate::media::prompt::Prompt;
use crate::types::{Dtmf, LegId, MediaStream, PromptId, Tone};

/// A leg that begins.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: LegId,
    pub(super) sockets: Sockets,
    pub(super) facts: Arc<Facts>,
    /// Its sources, sequence numbers and times of reports come from here.
    pub(super) seed: u64,
    pub(super) at: Instant,
}

/// One order; legs are named by their places.
#[derive(Debug)]
pub(super) enum Order {
    Open(usize, Box<Opened>),
    Rebind(usize, Sockets),
    Set(usize, Box<MediaStream>),
    Press(usize, Dtmf),
    Close(usize),
    Join(usize, usize),
    Part(usize, usize),
    Play(usize, PromptId, Arc<Prompt>, bool),
    Tone(usize, Tone),
    Echo(usize),
    StopPlaying(usize),
    /// To be told in its turn.
    Report(MediaReport),
    Stop,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Order>,
    woken: bool,
}

/// What both sides hold.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    pub(super) bell: OwnedFd,
    pub(super) counts: Counts,
}

impl Shared {
    pub(super) fn new() -> rustix::io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { queue: Mutex::default(), bell, counts: Counts::default() })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order; one that can wait for the next does not wake the thread.
    pub(super) fn order(&self, order: Order, can_wait: bool) {
        let mut queue = self.queue();
        queue.waiting.push(order);
        if can_wait || queue.woken {
            return;
        }
        // It fails only when the count is full, and then the thread is awake.
        queue.woken = rustix::io::write(&self.bell, &1u64.to_ne_bytes()).is_ok();
    }

    /// All orders that wait, into `orders`, which is empty.
    pub(super) fn take(&self, orders: &mut Vec<Order>) {
        let mut queue = self.queue();
        std::mem::swap(&mut queue.waiting, orders);
        if std::mem::take(&mut queue.woken) {
            let mut count = [0; 8];
            // Nothing to read is as good.
            let _empty = rustix::io::read(&self.bell, &mut count);
        }
    }
}
