//! What can be told to, and asked of, the sessions of a running relay; and that none stays whose device could not be told of it.

use super::Driver;
use crate::ops::status::Page;
use sixfold_engine::{Id, NewSession, SessionError, SessionStatus};
use tokio::sync::{mpsc, oneshot};

/// A question about sessions, with the way back for its answer.
#[derive(Debug)]
pub enum SessionCommand {
    /// A Recipient ID for a new session; `None` when none was found, or there is no randomness.
    FreshId(oneshot::Sender<Option<Id>>),
    /// Take a session into use.
    Add(Box<NewSession>, oneshot::Sender<Result<Untold, SessionError>>),
    /// Part of the list, and how many there are.
    List(Page, oneshot::Sender<(Vec<SessionStatus>, usize)>),
}

/// A session in use whose device has not been told of it yet. The session ends when this is dropped before [`Untold::told`].
#[derive(Debug)]
pub struct Untold {
    recipient_id: Id,
    withdrawals: Option<mpsc::UnboundedSender<Id>>,
}

impl Untold {
    /// The device has been told: the session stays.
    pub fn told(mut self) {
        self.withdrawals = None;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if let Some(withdrawals) = &self.withdrawals {
            // A driver that is gone has no sessions any more.
            let _ = withdrawals.send(self.recipient_id);
        }
    }
}

/// Sessions that have to end because their devices could not be told of them: no more than there are sessions.
#[derive(Debug)]
pub(super) struct Withdrawals {
    sender: mpsc::UnboundedSender<Id>,
    receiver: mpsc::UnboundedReceiver<Id>,
}

impl Withdrawals {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver }
    }

    /// The next one. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Id> {
        self.receiver.recv().await
    }

    fn untold(&self, recipient_id: Id) -> Untold {
        Untold { recipient_id, withdrawals: Some(self.sender.clone()) }
    }
}

impl Driver {
    /// Does what it is told. Who does not wait for the answer any more has its reasons.
    pub(super) fn take_session_command(&mut self, command: SessionCommand) {
        let now = self.clock.now();
        match command {
            SessionCommand::FreshId(reply) => drop(reply.send(self.fresh_recipient_id())),
            SessionCommand::Add(session, reply) => {
                let recipient_id = session.recipient_id;
                let added = self.engine.add_session(now, *session);
                // Where nobody takes the answer, the session ends with it.
                drop(reply.send(added.map(|()| self.withdrawals.untold(recipient_id))));
            }
            SessionCommand::List(page, reply) => {
                let list = self.engine.sessions(now, page.skip, page.limit);
                drop(reply.send((list, self.engine.load().sessions)));
            }
        }
    }

    /// Ends the sessions of a device, or all of them, here and in what is kept: how many there were, and whether they stay ended.
    pub(super) async fn revoke(&mut self, name: Option<&str>) -> (usize, bool) {
        let count = match name {
            Some(name) => self.engine.revoke(name),
            None => self.engine.revoke_all(),
        };
        let is_lasting = match &mut self.keeper {
            Some(keeper) => keeper.keep(&mut self.engine, self.clock.now()).await,
            None => true,
        };
        (count, is_lasting)
    }

    fn fresh_recipient_id(&mut self) -> Option<Id> {
        let mut random = [0; 8];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!("relay: no randomness from the system, so no new sessions: {error}");
            return None;
        }
        self.engine.fresh_recipient_id(random)
    }
}
