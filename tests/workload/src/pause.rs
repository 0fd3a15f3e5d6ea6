//! Does nothing until SIGTERM. As process 1 of a pod it also takes in the dead
//! processes that nobody else waits for.

use std::io;

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::signals::Signals;

/// Sleeps until SIGTERM or SIGINT.
pub async fn pause(mut signals: Signals) -> io::Result<()> {
    let mut child_died = signal(SignalKind::child())?;
    loop {
        // Before the first sleep too: a child may have died before the handler was there.
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        tokio::select! {
            () = signals.asked_to_end(false) => return Ok(()),
            _ = child_died.recv() => {}
        }
    }
}
