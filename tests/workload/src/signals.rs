//! The signals that end the program. As process 1 of a container it is not ended by a signal it
//! has no handler for, so there must be one.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The handlers, from the moment they are installed.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns at the first SIGTERM or SIGINT. With `ignore_terminate` a SIGTERM is only logged,
    /// as by a program that lets its grace period run out.
    pub async fn asked_to_end(&mut self, ignore_terminate: bool) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {
                    if !ignore_terminate {
                        return;
                    }
                    println!("ignored SIGTERM");
                }
                _ = self.interrupt.recv() => return,
            }
        }
    }
}
