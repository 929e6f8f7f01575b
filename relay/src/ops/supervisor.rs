//! What a service manager hears: ready, reloading, stopping, and that the event loop turns (sd_notify(3)).
//!
//! Without a manager that listens (`NOTIFY_SOCKET` is not set) all of this does nothing. It decides nothing: what is said
//! here has happened already.

use sd_notify::NotifyState;
use std::time::Duration;

/// What the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// The sockets are open, or wait for their interface; also: a reload is over, whatever came of it. With a line for whoever asks
    /// the manager.
    Ready(&'a str),
    /// The configuration is being read again.
    Reloading,
    /// No new work is taken.
    Stopping,
    /// The event loop turns.
    Alive,
}

/// Tells the service manager. That it does not listen is no reason to stop serving devices.
pub fn tell(state: State<'_>) {
    let outcome = match state {
        State::Ready(status) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]),
        // The time belongs to it since systemd 253, which tells by it which reload is meant.
        State::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        State::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        State::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    };
    if let Err(error) = outcome {
        tracing::debug!("telling the service manager {state:?}: {error}");
    }
}

/// How often [`State::Alive`] is to be said: a third of the time after which the service manager takes the relay for
/// hung (`WATCHDOG_USEC`). `None` if it does not watch.
pub fn beat() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| (limit / 3).max(Duration::from_millis(1)))
}
