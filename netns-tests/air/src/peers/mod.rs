//! What people deploy to bring firmware to devices, as plain models written from the RFCs.
//!
//! A stateless CoAP block-wise server with clients of default transmission parameters (RFC 7252, RFC 7959), and TFTP
//! without and with options (RFC 1350, RFC 2347–2349). They are the baseline that the relay is measured against, so
//! they do what their RFCs ask and what the usual programs do, neither better nor worse. They have no security, no
//! uploads and no discovery.
//!
//! A client is powered on by its first [`poll_transmit`](crate::host::Host::poll_transmit). Until then nothing is due
//! ([`poll_timeout`](crate::host::Host::poll_timeout) is `None`) and what it receives is lost.

mod coap_client;
mod coap_server;
mod flooder;
mod image_check;
mod tftp_client;
mod tftp_packet;
mod tftp_server;

pub use coap_client::CoapClient;
pub(crate) use coap_client::write_request;
pub use coap_server::CoapServer;
pub use flooder::Flooder;
pub(crate) use image_check::ImageCheck;
pub use tftp_client::TftpClient;
pub use tftp_packet::{DEFAULT_BLOCK_SIZE as TFTP_BLOCK_SIZE, Options as TftpOptions, PORT as TFTP_PORT};
pub use tftp_server::TftpServer;

use std::net::SocketAddrV6;

/// Where CoAP servers have the image: `/fw/image`, as the segments of its Uri-Path.
pub const PATH: [&str; 2] = ["fw", "image"];

/// The last segment of the path of an image, for scenarios with several.
pub fn image_name(number: u32) -> String {
    match number {
        0 => PATH[1].to_owned(),
        number => format!("{}-{}", PATH[1], number + 1),
    }
}

/// The name of the image for TFTP servers.
pub const FILE: &str = "fw/image";

/// Whether two socket addresses are the same UDP endpoint, whatever their flow labels and scopes.
fn same_endpoint(one: SocketAddrV6, other: SocketAddrV6) -> bool {
    one.ip() == other.ip() && one.port() == other.port()
}
