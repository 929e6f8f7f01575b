//! Prefixes and default routers from router advertisements (RFC 4861 §6.3.4, RFC 4862 §5.5).
//!
//! smoltcp knows one prefix per advertisement and makes addresses of the EUI-64 only. Here two routers and two prefixes
//! are kept, and [`Routers::choose`] says which address and way suit the relay. Nothing is sent from here, and whether
//! the address is unique is found out elsewhere.

use crate::message::Options;
use core::net::Ipv6Addr;
use core::time::Duration;
use sixfold_profile::Instant;
#[cfg(feature = "ieee802154")]
use smoltcp::wire::HardwareAddress;

/// The Prefix Information option (RFC 4861 §4.6.2): its type and its length in bytes.
const PREFIX_INFORMATION: (u8, usize) = (3, 32);
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;
/// Whoever forges advertisements cannot make an address last less than this (RFC 4862 §5.5.3 e).
const TWO_HOURS: Duration = Duration::from_secs(7200);

/// Whom to send to what is not on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Router {
    pub(crate) address: Ipv6Addr,
    /// What it said of its link-layer address.
    #[cfg(feature = "ieee802154")]
    pub(crate) link_layer: Option<HardwareAddress>,
    /// Whether it understands RFC 8505.
    #[cfg(feature = "ieee802154")]
    pub(crate) extended: bool,
    until: Instant,
}

/// What addresses are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    bits: [u8; 8],
    on_link: bool,
    preferred_until: Instant,
    valid_until: Instant,
    /// Who advertised it last.
    router: Ipv6Addr,
}

/// An address, and how packets leave with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) address: Ipv6Addr,
    /// Whether other addresses of its prefix are reached directly.
    pub(crate) on_link: bool,
    /// `None`: the relay is on the link, and there is no router.
    pub(crate) router: Option<Router>,
}

/// What the advertisements of late amount to.
#[derive(Debug, Default)]
pub(crate) struct Routers {
    routers: [Option<Router>; 2],
    prefixes: [Option<Prefix>; 2],
    /// Try the second router before the first.
    second_first: bool,
}

impl Routers {
    /// Takes a router advertisement.
    pub(crate) fn advertised(&mut self, now: Instant, router: Router, lifetime: u16, options: Options<'_>) {
        let until = now + Duration::from_secs(lifetime.into());
        let router = Router { until, ..router };
        let same = |kept: &Router| kept.address == router.address;
        if let Some(place) = place(&mut self.routers, same, |kept| kept.until <= now) {
            *place = Some(router);
        }
        options.for_each(|option| self.prefix(now, router.address, option));
    }

    fn prefix(&mut self, now: Instant, router: Ipv6Addr, option: &[u8]) {
        let Some(heard) = information(now, router, option) else { return };
        let same = |kept: &Prefix| kept.bits == heard.bits;
        let Some(place) = place(&mut self.prefixes, same, |kept| kept.valid_until <= now) else { return };
        let remaining = place.filter(same).map_or(Duration::ZERO, |kept| kept.valid_until.since(now));
        let offered = heard.valid_until.since(now);
        // RFC 4862 §5.5.3 e: lives get longer at once, but not suddenly short.
        let valid =
            if offered > TWO_HOURS || offered > remaining { offered } else { remaining.min(TWO_HOURS) };
        if !valid.is_zero() {
            *place = Some(Prefix { valid_until: now + valid, ..heard });
        }
    }

    /// The next hop does not answer: prefer the other router, if there is one.
    pub(crate) const fn distrust(&mut self) {
        self.second_first = !self.second_first;
    }

    /// The best address to reach `relay`, ending with `identifier`; `None`: wait for an advertisement.
    pub(crate) fn choose(&self, now: Instant, relay: Ipv6Addr, identifier: [u8; 8]) -> Option<Choice> {
        let [first, second] = self.routers.map(|router| router.filter(|router| router.until > now));
        let router = if self.second_first { second.or(first) } else { first.or(second) };
        let prefixes = self.prefixes.iter().flatten().filter(|prefix| prefix.valid_until > now);
        // Of equals the first is kept, which `max_by_key` meets last.
        let prefix = prefixes.rev().max_by_key(|prefix| {
            let theirs = router.is_some_and(|router| router.address == prefix.router);
            (prefix.reaches(relay), prefix.preferred_until > now, theirs)
        })?;
        let usable = router.is_some() || prefix.reaches(relay);
        usable.then(|| Choice { address: prefix.address(identifier), on_link: prefix.on_link, router })
    }

    /// When the next lifetime ends.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        let prefixes = self.prefixes.iter().flatten();
        let lifetimes = prefixes.flat_map(|prefix| [prefix.preferred_until, prefix.valid_until]);
        let routers = self.routers.iter().flatten().map(|router| router.until);
        lifetimes.chain(routers).filter(|end| *end > now).min()
    }
}

impl Router {
    /// A router as its advertisement shows it.
    #[cfg(feature = "ieee802154")]
    pub(crate) const fn new(address: Ipv6Addr, link_layer: Option<HardwareAddress>, extended: bool) -> Self {
        Self { address, link_layer, extended, until: Instant::ZERO }
    }

    /// A router as its advertisement shows it.
    #[cfg(not(feature = "ieee802154"))]
    pub(crate) const fn new(address: Ipv6Addr) -> Self {
        Self { address, until: Instant::ZERO }
    }

    /// Its link-layer address: if it did not say, the one that its address is made of.
    #[cfg(feature = "ieee802154")]
    pub(crate) fn neighbour(&self) -> HardwareAddress {
        self.link_layer.unwrap_or_else(|| crate::lowpan::eui64_of(self.address))
    }
}

impl Prefix {
    fn reaches(&self, address: Ipv6Addr) -> bool {
        self.on_link && address.octets().starts_with(&self.bits)
    }

    fn address(&self, identifier: [u8; 8]) -> Ipv6Addr {
        Ipv6Addr::from(
            (u128::from(u64::from_be_bytes(self.bits)) << 64) | u128::from(u64::from_be_bytes(identifier)),
        )
    }
}

/// Where something is kept already, or could be: an empty place or one whose time is over.
fn place<T>(
    places: &mut [Option<T>],
    same: impl Fn(&T) -> bool,
    is_over: impl Fn(&T) -> bool,
) -> Option<&mut Option<T>> {
    let is_same = |place: &Option<T>| place.as_ref().is_some_and(&same);
    let is_free = |place: &Option<T>| place.as_ref().is_none_or(&is_over);
    let index = places.iter().position(is_same).or_else(|| places.iter().position(is_free))?;
    places.get_mut(index)
}

/// A prefix of 64 bits to make addresses of, unless RFC 4862 §5.5.3 a to d wants it ignored.
fn information(now: Instant, router: Ipv6Addr, option: &[u8]) -> Option<Prefix> {
    let [kind, _, length, flags, valid @ .., _, _, _, _, _, _, _, _] = option.first_chunk::<24>()?;
    let bits = *option.get(16..)?.first_chunk::<8>()?;
    let [v1, v2, v3, v4, p1, p2, p3, p4, ..] = *valid;
    let (valid, preferred) = (u32::from_be_bytes([v1, v2, v3, v4]), u32::from_be_bytes([p1, p2, p3, p4]));
    let right = (*kind, option.len()) == PREFIX_INFORMATION && *length == 64 && flags & AUTONOMOUS != 0;
    (right && preferred <= valid && is_assignable(bits)).then(|| Prefix {
        bits,
        on_link: flags & ON_LINK != 0,
        preferred_until: now + Duration::from_secs(preferred.into()),
        valid_until: now + Duration::from_secs(valid.into()),
        router,
    })
}

/// Neither link-local nor multicast nor in ::/8, which is reserved (RFC 4291 §2.4).
const fn is_assignable(bits: [u8; 8]) -> bool {
    let [first, second, ..] = bits;
    first != 0 && first != 0xff && !(first == 0xfe && second & 0xc0 == 0x80)
}
