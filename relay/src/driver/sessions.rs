//! What can be told to, and asked of, the sessions of a running relay.

use super::Driver;
use crate::ops::status::Page;
use sixfold_engine::{Id, NewSession, SessionError, SessionStatus};
use tokio::sync::oneshot;

/// A question about sessions, with the way back for its answer.
#[derive(Debug)]
pub enum SessionCommand {
    /// A Recipient ID for a new session; `None` when there are as many as there may be.
    FreshId(oneshot::Sender<Option<Id>>),
    /// Take a session into use.
    Add(Box<NewSession>, oneshot::Sender<Result<(), SessionError>>),
    /// End the sessions of a device, or all of them; answers with how many there were.
    Revoke(Option<String>, oneshot::Sender<usize>),
    /// Part of the list, and how many there are.
    List(Page, oneshot::Sender<(Vec<SessionStatus>, usize)>),
}

impl Driver {
    /// Does what it is told. Who does not wait for the answer any more has its reasons.
    pub(super) fn take_session_command(&mut self, command: SessionCommand) {
        let now = self.clock.now();
        match command {
            SessionCommand::FreshId(reply) => drop(reply.send(self.fresh_recipient_id())),
            SessionCommand::Add(session, reply) => drop(reply.send(self.engine.add_session(now, *session))),
            SessionCommand::Revoke(Some(name), reply) => drop(reply.send(self.engine.revoke(&name))),
            SessionCommand::Revoke(None, reply) => drop(reply.send(self.engine.revoke_all())),
            SessionCommand::List(page, reply) => {
                let list = self.engine.sessions(now, page.skip, page.limit);
                drop(reply.send((list, self.engine.load().sessions)));
            }
        }
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
