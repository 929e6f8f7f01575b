//! One UDP socket: how it is opened, and waiting for it.

use super::multicast::Groups;
use super::receive::RecvBatch;
use super::send;
use nix::cmsg_space;
use nix::sys::socket::{MultiHeaders, SockaddrStorage, setsockopt, sockopt};
use sixfold_engine::Transmit;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::ffi::OsString;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams per system call.
pub const BATCH: usize = 64;

/// What is asked for: the first burst of a thousand devices must fit.
const BUFFER_BYTES: usize = 4 << 20;

/// How far a multicast datagram may go. Linux's default of 1 would keep it on the first hop, which in a mesh
/// is not the link that the administrator means by `ff05::`.
const MULTICAST_HOPS: u32 = 64;

/// A non-blocking UDP socket for IPv6 or for IPv4, never for both: `[::]` leaves the port of `0.0.0.0` free.
///
/// It must be made and used inside a tokio runtime. It stays on its thread (`!Send`), as the headers of `nix`
/// do: the relay's driver is a single task.
pub struct BatchSocket {
    pub(super) socket: UdpSocket,
    pub(super) groups: Option<Groups>,
    index: usize,
    receive: MultiHeaders<SockaddrStorage>,
    send: send::Headers,
}

/// The sizes that the system granted, in bytes of datagrams and their overhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// SO_RCVBUF.
    pub receive: usize,
    /// SO_SNDBUF.
    pub send: usize,
}

impl BatchSocket {
    /// Binds a socket to `address`, and to the interface of this name if there is one to be named. `index` is
    /// what [`sixfold_engine::Path::socket`] says of its datagrams.
    ///
    /// An IPv6 socket on `[::]` is ready to join multicast groups: see [`BatchSocket::rejoin`].
    ///
    /// # Errors
    /// Those of the system, with the address or interface and a remedy where one is known.
    pub fn bind(address: SocketAddr, interface: Option<&str>, index: usize) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        enlarge_buffers(&socket)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            socket.set_multicast_hops_v6(MULTICAST_HOPS)?;
            // What goes to a group of devices is of no use to programs here, the relay itself among them.
            socket.set_multicast_loop_v6(false)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        if let Some(name) = interface {
            setsockopt(&socket, sockopt::BindToDevice, &OsString::from(name))
                .map_err(|errno| explain_device(&errno.into(), name))?;
        }
        socket.bind(&address.into()).map_err(|error| explain_bind(&error, address))?;
        let on_all_groups = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            groups: on_all_groups.then(|| Groups::new(interface)),
            index,
            receive: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in6_pktinfo))),
            send: send::Headers::new(),
        })
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// None that a bound socket is known to give.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// How much the system lets wait in the socket.
    ///
    /// # Errors
    /// None that an open socket is known to give.
    pub fn buffers(&self) -> io::Result<Buffers> {
        let socket = SockRef::from(&self.socket);
        Ok(Buffers { receive: socket.recv_buffer_size()?, send: socket.send_buffer_size()? })
    }

    /// Ready when datagrams may be there. One task at a time is woken.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(context)
    }

    /// Waits until datagrams may be there. Cancel safe.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    /// Waits until the system may take datagrams again. Cancel safe.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Replaces what is in `batch` by up to [`BATCH`] datagrams that are here now, and says how many the
    /// system gave, truncated ones included; 0 when there is none.
    ///
    /// # Errors
    /// Those of `recvmmsg`; the socket stays usable.
    pub fn recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let Self { socket, receive, index, .. } = self;
        let mut taken = 0;
        let outcome = socket.try_io(Interest::READABLE, || {
            taken = batch.fill(socket.as_raw_fd(), receive, *index)?;
            // A short batch has emptied the socket. Saying so now saves the call that would find it empty;
            // whatever arrives from here on makes the descriptor ready again.
            if taken < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Gives datagrams to the system in order and says how many are done with. Fewer than all means that it
    /// takes no more now: wait for [`BatchSocket::writable`] and offer the rest again.
    ///
    /// A datagram that the system refuses for its own sake (no route, no such source address, too long) is
    /// reported to `refused` and counts as done with; it does not hold up the others.
    pub fn send(&mut self, transmits: &[Transmit], mut refused: impl FnMut(&Transmit, io::Error)) -> usize {
        let Self { socket, send, .. } = self;
        let mut taken = 0;
        while let Some(first) = transmits.get(taken) {
            match socket.try_io(Interest::WRITABLE, || send.send_run(socket.as_raw_fd(), &transmits[taken..]))
            {
                Ok(sent) => taken += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    refused(first, error);
                    taken += 1;
                }
            }
        }
        taken
    }
}

/// Past the limit of `net.core.rmem_max` where the process may (CAP_NET_ADMIN), up to it otherwise.
fn enlarge_buffers(socket: &Socket) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
        socket.set_send_buffer_size(BUFFER_BYTES)?;
    }
    Ok(())
}

fn explain_device(error: &io::Error, name: &str) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => " (before Linux 5.7 this needs CAP_NET_RAW)",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot use interface {name}: {error}{remedy}"))
}

fn explain_bind(error: &io::Error, address: SocketAddr) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => " (another program listens there: stop it, or choose another port)",
        io::ErrorKind::AddrNotAvailable => " (no interface has this address)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{remedy}"))
}
