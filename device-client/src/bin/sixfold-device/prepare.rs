//! `sixfold-device prepare` and `update`: a main program's part.

use crate::cli::{self, What};
use crate::failure::Failure;
use crate::flash::{last_session, open, words};
use crate::progress::print_line;
use crate::relay::Relay;
use crate::session::Wanted;
use crate::trust::{self, Trust};
use crate::wire::Wire;
use crate::{boot, discover};
use embedded_storage::nor_flash::NorFlash;
use serde_json::json;
use sixfold_device::boot::SessionState;
use sixfold_device::flash_file::FlashFile;
use sixfold_device::prepare::{
    InTicket, Origin, Prepared, Request, SHORTEST_SECRET, Target, Told, interface_identifier, prepare,
};
use sixfold_device::uri::{CoapUri, Host};
use sixfold_manifest::Device;
use sixfold_profile::Hex;
use sixfold_profile::ticket::Endpoint;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

/// Leaves a ticket, and says for what.
pub(crate) fn run(arguments: &cli::Prepare) -> Result<(), Failure> {
    let mut flash = open(&arguments.flash)?;
    let last = last_session(&mut flash)?;
    if !arguments.quiet {
        tell_of_last_session(last);
    }
    let prepared = leave_ticket(&mut flash, &arguments.what)?;
    let digest = Hex(&prepared.manifest.image_digest).to_string();
    let (sequence, bytes) = (prepared.manifest.sequence_number, prepared.manifest.image_size);
    let line = if arguments.json {
        let record = prepared.record.map(|which| format!("{which:?}"));
        let group = prepared.group.as_ref().and_then(|told| told.as_ref().ok()).map(json_of);
        let session = prepared.session.as_ref().map(json_of_session);
        let result = json!({
            "sha256": digest,
            "bytes": bytes,
            "sequence": sequence,
            "record": record,
            "group": group,
            "session": session,
            "last_session": json_of_state(last),
        });
        result.to_string()
    } else {
        format!("{digest}  sequence number {sequence}, {bytes} bytes")
    };
    if !arguments.quiet {
        tell(&prepared);
    }
    writeln!(io::stdout(), "{line}").map_err(Failure::Stdout)
}

/// Leaves a ticket, and then does what the boot program would do.
pub(crate) fn update(arguments: &cli::Update) -> Result<(), Failure> {
    let mut flash = open(&arguments.flash)?;
    if !arguments.run.quiet {
        tell_of_last_session(last_session(&mut flash)?);
    }
    let prepared = leave_ticket(&mut flash, &arguments.what)?;
    if !arguments.run.quiet {
        tell(&prepared);
    }
    boot::boot(&mut flash, &arguments.run)
}

/// What people want to know besides the image.
fn tell(prepared: &Prepared) {
    match (&prepared.record, &prepared.group) {
        (None, _) => print_line("the device runs this image already"),
        (_, Some(Ok(told))) => print_line(&format!("the relay sends it to the group {told}")),
        (_, Some(Err(why))) => {
            print_line(&format!("no group: {why}; the boot program asks for each block by itself (unicast)"));
        }
        (_, None) => {}
    }
    if let Some(session) = &prepared.session {
        let lifetime = session.lifetime.map(|time| format!(", for {} s", time.as_secs()));
        print_line(&format!("a session with the relay{}", lifetime.unwrap_or_default()));
    }
}

fn tell_of_last_session(state: SessionState) {
    if let Some(words) = words(state) {
        print_line(&format!("the last session {words}"));
    }
}

/// What became of the session that the device had before; `null` when it had none.
const fn json_of_state(state: SessionState) -> Option<&'static str> {
    match state {
        SessionState::None => None,
        SessionState::Usable => Some("usable"),
        SessionState::Refused => Some("lost"),
        SessionState::UsedUp => Some("used up"),
    }
}

/// Without keys.
fn json_of_session(session: &InTicket) -> serde_json::Value {
    json!({ "id": Hex(&session.sender_id).to_string(), "seconds": session.lifetime.map(|time| time.as_secs()) })
}

fn json_of(told: &Told) -> serde_json::Value {
    let Endpoint { address, port } = told.endpoint;
    json!({ "address": address, "port": port, "token": Hex(&told.token).to_string() })
}

fn leave_ticket(flash: &mut FlashFile, what: &What) -> Result<Prepared, Failure> {
    let trust = Trust::read(what)?;
    let session = Wanted::read(&what.session)?;
    let secret = fs::read(&what.secret).map_err(Failure::file(&what.secret, "read"))?;
    if secret.len() < SHORTEST_SECRET {
        let path = what.secret.display();
        return Err(Failure::Usage(format!("{path}: a secret has at least {SHORTEST_SECRET} bytes")));
    }
    let manifest = Target::new(&what.manifest).map_err(|error| Failure::Usage(error.to_string()))?;
    let (vendor, class) = what.identity();
    let (host, port) = relay(what)?;
    let wire = Wire::open(&host, port)?;
    let SocketAddr::V6(address) = wire.peer() else {
        return Err(Failure::Usage("the relay's address must be IPv6: boot programs know no other".into()));
    };
    let layout = flash.layout().clone();
    let request = Request {
        relay: Endpoint { address: *address.ip(), port: address.port() },
        manifest,
        device: Device {
            vendor,
            class,
            slot_size: layout.slots.iter().map(|slot| slot.end - slot.start).min().unwrap_or(0),
            page_size: FlashFile::ERASE_SIZE as u32,
            last_sequence_number: what.last_sequence,
        },
        keys: trust::decryption_keys(what)?,
        interface_identifier: identifier(what, &secret, address),
        szx: what.szx,
        group: !what.no_group,
    };
    let mut relay = Relay { wire, deadline: None, session };
    Ok(prepare(flash, &layout, &mut relay, |signed| trust.verify(signed), &request)?)
}

fn relay(what: &What) -> Result<(Host, u16), Failure> {
    if let Some(interface) = &what.discover {
        let found = discover::relay(interface)?;
        let zone = found.ip().is_unicast_link_local().then(|| interface.to_owned());
        return Ok((Host::V6(*found.ip(), zone), found.port()));
    }
    let uri = CoapUri::parse(what.relay.as_deref().unwrap_or_default())?;
    if !uri.path.is_empty() || !uri.query.is_empty() {
        return Err(Failure::Usage("--relay takes coap://[ADDRESS][:PORT] without path or query".into()));
    }
    Ok((uri.host, uri.port))
}

/// The identifier for the network in which the relay is reached from here (RFC 7217 §5): the device will most likely wake up
/// in the same one.
fn identifier(what: &What, secret: &[u8], relay: SocketAddrV6) -> [u8; 8] {
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
    interface_identifier(Origin {
        prefix: source_address(relay).unwrap_or(link_local),
        interface: what.discover.as_deref().unwrap_or_default(),
        network: b"",
        dad_counter: what.dad_counter,
        secret,
    })
}

/// The address that the system would send from; nothing is sent.
fn source_address(relay: SocketAddrV6) -> Option<Ipv6Addr> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(relay).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}
