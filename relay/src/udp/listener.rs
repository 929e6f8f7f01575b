//! A socket that is there when its interface is: TUN and 6LoWPAN interfaces appear late, vanish with their
//! agents, and come back under a new number.

use super::interface::index_of;
use super::{BatchSocket, Buffers, Membership};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The address: `[::]:5683` for all.
    pub address: SocketAddr,
    /// Only on the interface of this name, which need not be there yet.
    pub interface: Option<String>,
    /// What [`sixfold_engine::Path::socket`] says of its datagrams.
    pub index: usize,
}

/// Keeps a [`BatchSocket`] open while its interface is there.
pub struct Listener {
    config: ListenerConfig,
    socket: Option<BatchSocket>,
    /// The interface that the socket is bound to.
    bound_to: Option<u32>,
    /// What is in the way of a socket, so that it is said once and not every second.
    trouble: Option<String>,
}

/// What [`Listener::poll_interfaces`] found or did since it was last called. `Display` is a line for the log.
#[derive(Debug)]
pub enum Change {
    /// A socket was opened.
    Listening {
        /// The address that it got.
        address: SocketAddr,
        /// The name of its interface, if it has one to itself.
        interface: Option<String>,
        /// The buffers that it got.
        buffers: Buffers,
    },
    /// The interface is not there: the socket was closed, or could not be opened yet.
    Absent(String),
    /// The interface is there, but the socket cannot be opened. It is tried again at every call.
    Failed(io::Error),
    /// A multicast membership has changed.
    Multicast(Membership),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { address, interface, buffers } => {
                write!(f, "listening on {address}")?;
                interface.iter().try_for_each(|name| write!(f, ", interface {name}"))?;
                write!(
                    f,
                    " (receive buffer {} KiB, send buffer {} KiB)",
                    buffers.receive >> 10,
                    buffers.send >> 10
                )
            }
            Self::Absent(name) => write!(f, "interface {name} is not there; waiting for it"),
            Self::Failed(error) => error.fmt(f),
            Self::Multicast(membership) => membership.fmt(f),
        }
    }
}

impl Listener {
    /// Starts to listen, or to wait for the interface.
    ///
    /// # Errors
    /// Where no interface is named, those of [`BatchSocket::bind`]: what does not work now will not work later.
    pub fn open(config: ListenerConfig) -> io::Result<(Self, Vec<Change>)> {
        let fatal = config.interface.is_none();
        let mut listener = Self { config, socket: None, bound_to: None, trouble: None };
        let mut changes = listener.poll_interfaces();
        match changes.pop() {
            Some(Change::Failed(error)) if fatal => Err(error),
            last => {
                changes.extend(last);
                Ok((listener, changes))
            }
        }
    }

    /// The socket, while there is one.
    pub fn socket(&mut self) -> Option<&mut BatchSocket> {
        self.socket.as_mut()
    }

    /// Ready when datagrams may be there; never while there is no socket. One task at a time is woken.
    ///
    /// # Errors
    /// Those of [`BatchSocket::poll_readable`].
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Some(socket) => socket.poll_readable(context),
            None => Poll::Pending,
        }
    }

    /// Looks whether the interface has come, gone or been made anew, opens or closes the socket accordingly,
    /// and keeps up the multicast memberships. Meant to be called about once a second.
    pub fn poll_interfaces(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        match self.config.interface.as_deref().map(index_of) {
            None => self.ensure_open(None, &mut changes),
            Some(Some(index)) => self.ensure_open(Some(index), &mut changes),
            Some(None) => self.close(&mut changes),
        }
        match self.socket.as_mut().map(BatchSocket::rejoin) {
            Some(Ok(memberships)) => changes.extend(memberships.into_iter().map(Change::Multicast)),
            Some(Err(error)) => changes.push(Change::Failed(error)),
            None => {}
        }
        changes
    }

    fn ensure_open(&mut self, index: Option<u32>, changes: &mut Vec<Change>) {
        if self.socket.is_some() && self.bound_to == index {
            return;
        }
        // The old socket goes first: it holds the port.
        self.socket = None;
        match self.bind() {
            Ok((socket, change)) => {
                self.socket = Some(socket);
                self.bound_to = index;
                self.trouble = None;
                changes.push(change);
            }
            Err(error) => self.report(error.to_string(), Change::Failed(error), changes),
        }
    }

    fn bind(&self) -> io::Result<(BatchSocket, Change)> {
        let ListenerConfig { address, interface, index } = &self.config;
        let socket = BatchSocket::bind(*address, interface.as_deref(), *index)?;
        let change = Change::Listening {
            address: socket.local_addr()?,
            interface: interface.clone(),
            buffers: socket.buffers()?,
        };
        Ok((socket, change))
    }

    fn close(&mut self, changes: &mut Vec<Change>) {
        self.socket = None;
        let name = self.config.interface.clone().unwrap_or_default();
        self.report(format!("{name} absent"), Change::Absent(name), changes);
    }

    fn report(&mut self, trouble: String, change: Change, changes: &mut Vec<Change>) {
        if self.trouble.as_ref() != Some(&trouble) {
            self.trouble = Some(trouble);
            changes.push(change);
        }
    }
}
