//! Session timers (RFC 4028): who refreshes how often, and when a dialog that nobody refreshes is given up.

use std::time::Duration;

use crate::sip::message::{Headers, Name, Refresher, SessionExpires};

/// The least interval of RFC 4028 §4, in seconds; ours too.
pub(super) const LEAST: u32 = 90;

/// What was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) seconds: u32,
    /// We refresh.
    pub(super) ours: bool,
}

/// The interval that was asked for is below [`LEAST`]: 422.
#[derive(Debug)]
pub(super) struct TooSmall;

impl Session {
    /// What we grant to a request that may begin or refresh a session (§9). `None` when neither side wants a timer.
    pub(super) fn grant(
        headers: &Headers,
        most: Duration,
        before: Option<Self>,
    ) -> Result<Option<Self>, TooSmall> {
        let theirs = headers.lists_option(&Name::Supported, "timer");
        let asked = headers.session_expires().ok().flatten();
        let least = headers.min_se().ok().flatten().unwrap_or(LEAST).max(LEAST);
        let most = u32::try_from(most.as_secs()).unwrap_or(u32::MAX);
        let Some(asked) = asked else {
            // We may begin one by ourselves, and then also refresh it when they cannot.
            let seconds = before.map_or(most, |b| b.seconds).max(least);
            return Ok(theirs.then_some(Self { seconds, ours: before.is_none_or(|b| b.ours) }));
        };
        if asked.seconds < LEAST && theirs {
            return Err(TooSmall);
        }
        let seconds = asked.seconds.min(most).max(least);
        let ours = match asked.refresher {
            _ if !theirs => true,
            Some(Refresher::Uac) => false,
            Some(Refresher::Uas) => true,
            None => false,
        };
        Ok(Some(Self { seconds, ours }))
    }

    /// What the far side granted to us (§7.2).
    pub(super) fn granted(headers: &Headers) -> Option<Self> {
        let SessionExpires { seconds, refresher } = headers.session_expires().ok().flatten()?;
        Some(Self { seconds: seconds.max(LEAST), ours: refresher != Some(Refresher::Uas) })
    }

    /// As we ask for it in a request.
    pub(super) fn ask(self) -> String {
        self.text(if self.ours { Refresher::Uac } else { Refresher::Uas })
    }

    /// As we grant it in a response.
    pub(super) fn tell(self) -> String {
        self.text(if self.ours { Refresher::Uas } else { Refresher::Uac })
    }

    fn text(self, refresher: Refresher) -> String {
        SessionExpires { seconds: self.seconds, refresher: Some(refresher) }.to_string()
    }

    /// When we refresh (§10: at half of it).
    pub(super) fn refresh_after(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds / 2))
    }

    /// When it is given up (§10: 32 s or a third of the interval before its end).
    pub(super) fn expires_after(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds - (self.seconds / 3).min(32)))
    }
}
