//! Agreeing over TLS, at the relay's session port.

use crate::cli::Session;
use crate::failure::Failure;
use crate::wire;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sixfold_device::agree::{Agent, AgreeError, Credentials};
use sixfold_device::prepare::Agreed;
use sixfold_device::uri::{CoapUri, Host};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long connecting, handshake and answer may take together. On a slow link a few kilobytes take their time.
const PATIENCE: Duration = Duration::from_secs(60);

/// With whom, as whom, and for how long. All files are read.
#[derive(Debug)]
pub(crate) struct Tls {
    agent: Agent,
    places: Vec<SocketAddr>,
    name: ServerName<'static>,
    lifetime: Option<Duration>,
}

impl Tls {
    /// What the command line wants of the session port `tls://...`.
    pub(crate) fn read(uri: &str, key: &Path, arguments: &Session) -> Result<Self, Failure> {
        let (Some(anchors), Some(chain)) = (&arguments.session_ca, &arguments.session_certificate) else {
            return Err(Failure::Usage(
                "--session tls://... needs --session-ca and --session-certificate".to_owned(),
            ));
        };
        let (host, port) = place(uri)?;
        let name = arguments.session_name.clone().unwrap_or_else(|| text(&host));
        let name = ServerName::try_from(name.clone())
            .map_err(|_| Failure::Usage(format!("{name} can be no name in a certificate")))?;
        let credentials = Credentials {
            anchors: certificates(anchors)?,
            chain: certificates(chain)?,
            key: PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", error))?,
        };
        let agent = Agent::new(credentials).map_err(Failure::Session)?;
        Ok(Self { agent, places: wire::addresses(&host, port)?, name, lifetime: arguments.session_lifetime })
    }

    /// Connects and agrees.
    pub(crate) fn agree(&self) -> Result<Agreed, Failure> {
        let until = Instant::now() + PATIENCE;
        let mut stream =
            self.connect(until).map_err(|error| Failure::Session(AgreeError::Connection(error)))?;
        self.agent.agree(&mut stream, self.name.clone(), self.lifetime).map_err(Failure::Session)
    }

    fn connect(&self, until: Instant) -> io::Result<Hurried> {
        let mut trouble = io::Error::new(io::ErrorKind::NotFound, "the relay has no address");
        for place in &self.places {
            match TcpStream::connect_timeout(place, left(until)?) {
                Ok(stream) => return Ok(Hurried { stream, until }),
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
    }
}

/// A connection that is over at a certain time, however often something comes.
struct Hurried {
    stream: TcpStream,
    until: Instant,
}

impl Read for Hurried {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Hurried {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Host and port of `tls://HOST:PORT`, which are written as in a coap URI.
fn place(uri: &str) -> Result<(Host, u16), Failure> {
    let usage = || {
        Failure::Usage("--session takes tls://HOST:PORT or coap://HOST[:PORT], without path or query".into())
    };
    let rest = uri.strip_prefix("tls://").ok_or_else(usage)?;
    let parsed = CoapUri::parse(&format!("coap://{rest}"))?;
    let has_port =
        rest.trim_end_matches('/').rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_bare = parsed.path.is_empty() && parsed.query.is_empty();
    if is_bare && has_port { Ok((parsed.host, parsed.port)) } else { Err(usage()) }
}

/// As it stands in a certificate: without zone.
fn text(host: &Host) -> String {
    match host {
        Host::V4(address) => address.to_string(),
        Host::V6(address, _zone) => address.to_string(),
        Host::Name(name) => name.clone(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(unusable(path, "certificate", pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, "certificate", error)),
    }
}

fn unusable(path: &Path, what: &str, error: pem::Error) -> Failure {
    match error {
        pem::Error::Io(error) => Failure::file(path, "read")(error),
        error => Failure::Usage(format!("{}: no {what} in PEM ({error:?})", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_port_and_nothing_else() {
        let address = "2001:db8::1".parse().unwrap();
        assert_eq!(place("tls://[2001:db8::1]:9684").unwrap(), (Host::V6(address, None), 9684));
        assert_eq!(place("tls://relay.example:1/").unwrap(), (Host::Name("relay.example".into()), 1));
        for bad in [
            "tls://[2001:db8::1]",
            "tls://relay",
            "coap://relay:1",
            "tls://relay:1/path",
            "relay:1",
            "tls://:1",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
