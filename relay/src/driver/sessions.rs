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
