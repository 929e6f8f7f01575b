//! What people deploy for this job, as plain models from the RFCs, to compare with: sans-IO like everything here.
//!
//! They are what their RFCs say and no more: no pacing, no caching, no memory of clients where none is called for.

mod coap_client;
mod coap_server;
mod image_check;
mod tftp;
mod tftp_client;
mod tftp_server;

pub use coap_client::CoapClient;
pub use coap_server::CoapServer;
pub use image_check::ImageCheck;
pub use tftp_client::TftpClient;
pub use tftp_server::TftpServer;
