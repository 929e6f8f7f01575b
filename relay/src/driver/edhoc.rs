//! EDHOC messages between the engine, which has the sockets' datagrams, and the responder, which has the keys.

use super::Driver;
use crate::config::{Config, EdhocFiles};
use crate::sessions::edhoc::{Responder, devices, identity};
use anyhow::anyhow;

/// Who answers EDHOC messages, if anybody does.
///
/// # Errors
/// What is wrong with the files: the operator's to mend.
pub(super) fn responder(config: &Config) -> anyhow::Result<Option<Responder>> {
    let Some(EdhocFiles { key, devices: list }) = &config.sessions.edhoc else { return Ok(None) };
    let wrong = |message: String| anyhow!("operator: sessions.{message}");
    let (identity, devices) = (identity(key).map_err(wrong)?, devices(list).map_err(wrong)?);
    Ok(Some(Responder::new(identity, devices, config.sessions.lifetime)))
}

impl Driver {
    /// Answers all EDHOC messages that the engine has.
    pub(super) fn answer_edhoc(&mut self) {
        while let Some(request) = self.engine.poll_edhoc() {
            let Some(responder) = &mut self.edhoc else { continue };
            let mut random = [0; sixfold_edhoc::SEED];
            if let Err(error) = getrandom::fill(&mut random) {
                tracing::error!("relay: no randomness from the system, so no new sessions: {error}");
                continue;
            }
            let now = self.clock.now();
            let peer = request.peer.ip();
            let source = self.neighbours.source(peer, self.config.listen.interface.as_deref());
            let reaction = responder.handle(now, source, &request.payload, random, &mut self.engine);
            if let Some(outcome) = reaction.outcome {
                self.metrics.agreement(outcome);
                let device = reaction.name.as_deref().unwrap_or_default();
                let (result, address) = (outcome.label(), peer);
                tracing::debug!(device, %address, result, "EDHOC");
            }
            self.engine.answer_edhoc(now, request, reaction.answer);
        }
    }
}
