//! One connection: handshake, question, answer, end. A session whose device does not get the answer is taken back at once.

use super::certificate;
use super::outcome::Outcome;
use super::port::Settings;
use crate::app::Handle;
use crate::driver::Untold;
use crate::guests::Place;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{HandshakeKind, ServerConnection};
use sixfold_engine::{Id, Master, NewSession, SessionError};
use sixfold_profile::agreement::{
    ALPN, ANSWER, ASK, AgreementError, Answer, Ask, Grant, MASTER_SALT, MASTER_SECRET, Refusal, SALT_LABEL,
    SECRET_LABEL, exporter_context,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The relay's Sender ID. It is never in a message, so the shortest will do; devices have longer ones.
const RELAY_ID: &[u8] = &[];

/// What became of a connection, and whose it was.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) name: Option<Arc<str>>,
    pub(super) lifetime: Option<Duration>,
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, name: None, lifetime: None }
    }
}

/// Serves a connection to its end, which comes after [`Settings::patience`] at the latest, however its bytes come. Whoever has shown
/// its certificate keeps its place until then.
pub(super) async fn serve<S>(stream: S, settings: &Settings, relay: &Handle, place: &Place) -> Report
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = Instant::now() + settings.patience;
    let acceptor = TlsAcceptor::from(settings.credentials.tls.clone());
    let mut tls = match timeout_at(end, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return Outcome::of_handshake(&error).into(),
        Err(_) => return Outcome::Timeout.into(),
    };
    place.keep();
    let report = timeout_at(end, agree(&mut tls, settings, relay)).await;
    let report = report.unwrap_or_else(|_| Outcome::Timeout.into());
    // Whoever does not hear the end has its answer all the same.
    let _ = timeout_at(end, tls.shutdown()).await;
    report
}

/// What follows the handshake.
async fn agree<S>(tls: &mut TlsStream<S>, settings: &Settings, relay: &Handle) -> Report
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = tls.get_ref().1;
    if connection.alpn_protocol() != Some(ALPN) {
        return Outcome::Protocol.into();
    }
    let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let chain = connection.peer_certificates().unwrap_or_default();
    let chain: Vec<CertificateDer<'static>> = chain.iter().map(|one| one.clone().into_owned()).collect();
    let mut question = [0; ASK];
    if let Err(error) = tls.read_exact(&mut question).await {
        return Outcome::of_handshake(&error).into();
    }
    let (answer, report, untold) = match decide(tls.get_ref().1, &chain, &question, settings, relay).await {
        Ok(Granted { answer, name, lifetime, untold }) => {
            let outcome = if is_resumed { Outcome::Resumed } else { Outcome::Granted };
            (answer, Report { outcome, name: Some(name), lifetime: Some(lifetime) }, Some(untold))
        }
        Err((refusal, outcome)) => {
            let report = Report { name: certificate_name(&chain), ..outcome.into() };
            let answer = refusal.and_then(|refusal| Answer::Refused(refusal).encode().ok());
            let Some(answer) = answer else { return report };
            (answer, report, None)
        }
    };
    if tls.write_all(&answer).await.is_err() || tls.flush().await.is_err() {
        return Report { outcome: Outcome::Broken, lifetime: None, ..report };
    }
    if let Some(untold) = untold {
        untold.told();
    }
    report
}

fn certificate_name(chain: &[CertificateDer<'_>]) -> Option<Arc<str>> {
    chain.first().and_then(certificate::name).map(Arc::from)
}

/// A session in force, and what its device is told.
struct Granted {
    answer: [u8; ANSWER],
    name: Arc<str>,
    lifetime: Duration,
    untold: Untold,
}

/// The answer to a question, with the session in force; or what the device is told, if anything, and what is counted.
async fn decide(
    connection: &ServerConnection,
    chain: &[CertificateDer<'_>],
    question: &[u8; ASK],
    settings: &Settings,
    relay: &Handle,
) -> Result<Granted, (Option<Refusal>, Outcome)> {
    // A full handshake has verified just now; a resumed one only that its ticket is ours, which may be a day old.
    settings
        .credentials
        .verify(chain, UnixTime::now())
        .map_err(|error| (Some(Refusal::Certificate), Outcome::of_tls(&error)))?;
    let ask = Ask::decode(question).map_err(|error| match error {
        AgreementError::Version(_) => (Some(Refusal::Version), Outcome::Protocol),
        AgreementError::Malformed => (None, Outcome::Malformed),
    })?;
    let name = certificate_name(chain).ok_or((Some(Refusal::Nameless), Outcome::Nameless))?;
    let seconds = lifetime(chain, ask, settings).ok_or((Some(Refusal::Certificate), Outcome::Expired))?;
    let unavailable = (Some(Refusal::Unavailable), Outcome::Unavailable);
    let recipient_id = relay.fresh_recipient_id().await.ok().flatten().ok_or(unavailable)?;
    let sender_id = Id::new(RELAY_ID).ok_or(unavailable)?;
    let grant = Grant {
        port: settings.coap_port,
        lifetime: seconds,
        device_id: recipient_id.as_slice(),
        relay_id: sender_id.as_slice(),
    };
    let answer = Answer::Granted(grant).encode().map_err(|_| unavailable)?;
    let master = export(connection, &grant).ok_or(unavailable)?;
    let lifetime = Duration::from_secs(seconds.into());
    let session =
        NewSession { name: name.clone(), recipient_id, sender_id, master, lifetime: Some(lifetime) };
    match relay.add_session(session).await {
        Ok(Ok(untold)) => Ok(Granted { answer, name, lifetime, untold }),
        Ok(Err(SessionError::Full)) => Err((Some(Refusal::Full), Outcome::Full)),
        Ok(Err(SessionError::Taken | SessionError::Context(_))) | Err(_) => Err(unavailable),
    }
}

/// In seconds: what the device wants, as far as the relay allows it, and not longer than the device's certificate is valid.
fn lifetime(chain: &[CertificateDer<'_>], ask: Ask, settings: &Settings) -> Option<u32> {
    let own = chain.first()?;
    let left = certificate::time_left(own, SystemTime::now()).min(settings.lifetime).as_secs();
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    let lifetime = if ask.lifetime == 0 { left } else { left.min(ask.lifetime) };
    (lifetime > 0).then_some(lifetime)
}

/// Master Secret and Master Salt (RFC 8446 §7.5).
fn export(connection: &ServerConnection, grant: &Grant<'_>) -> Option<Master> {
    let (context, length) = exporter_context(grant.device_id, grant.relay_id)?;
    let context = context.get(..length);
    let secret = connection.export_keying_material(vec![0; MASTER_SECRET], SECRET_LABEL, context).ok()?;
    let salt = connection.export_keying_material(vec![0; MASTER_SALT], SALT_LABEL, context).ok()?;
    Some(Master { secret, salt, id_context: None })
}

#[cfg(test)]
mod tests;
