//! One Confirmable request of the relay's own, and its response (RFC 7252 sections 4.2, 5.2). Pure: time, randomness and
//! bytes come in.

use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Full, Message, Type, Writer, option, params};
use std::time::Duration;

/// A request. Longer than one datagram is not possible: there is no Block1 here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// GET, POST or DELETE.
    pub method: Code,
    /// Uri-Path.
    pub path: Vec<String>,
    /// Uri-Query.
    pub query: Vec<String>,
    /// Content-Format and body, if there is one.
    pub payload: Option<(u16, Vec<u8>)>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its code.
    pub code: Code,
    /// Location-Path.
    pub location: Vec<String>,
    /// Its body.
    pub payload: Vec<u8>,
}

/// What comes of time or a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing yet.
    Waits,
    /// This is to be sent.
    Sends(Vec<u8>),
    /// The response is here; what is to be sent for it, if it was Confirmable.
    Answered {
        /// The response.
        response: Response,
        /// An ACK.
        acknowledgement: Option<Vec<u8>>,
    },
    /// There will be none.
    Failed,
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Exchange {
    datagram: Vec<u8>,
    message_id: u16,
    token: [u8; 4],
    timeout: Duration,
    retransmissions: u8,
    acknowledged: bool,
    deadline: Instant,
}

impl Exchange {
    /// The longest request, in bytes: what IPv6 carries everywhere.
    const LONGEST: usize = 1152;

    /// The exchange, and its first datagram; `None` if the request does not fit one.
    pub fn start(request: &Request, now: Instant, random: u64) -> Option<(Self, Vec<u8>)> {
        let [a, b, high, low, token @ ..] = random.to_be_bytes();
        let message_id = u16::from_be_bytes([high, low]);
        let datagram = write(request, message_id, token).ok()?;
        let spread = f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX);
        let timeout = params::ACK_TIMEOUT + params::ACK_RANDOM_SPREAD.mul_f64(spread);
        let exchange = Self {
            datagram: datagram.clone(),
            message_id,
            token,
            timeout,
            retransmissions: 0,
            acknowledged: false,
            deadline: now + timeout,
        };
        Some((exchange, datagram))
    }

    /// When [`Exchange::wait`] has something to do.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time has passed.
    pub fn wait(&mut self, now: Instant) -> Progress {
        if now < self.deadline {
            return Progress::Waits;
        }
        if self.acknowledged || self.retransmissions >= params::MAX_RETRANSMIT {
            return Progress::Failed;
        }
        self.retransmissions += 1;
        self.timeout *= 2;
        self.deadline = now + self.timeout;
        Progress::Sends(self.datagram.clone())
    }

    /// A datagram has come from the server.
    pub fn hear(&mut self, now: Instant, datagram: &[u8]) -> Progress {
        let Ok(message) = Message::parse(datagram) else { return Progress::Waits };
        let ours = message.message_id == self.message_id;
        match message.message_type {
            Type::Reset if ours => Progress::Failed,
            Type::Acknowledgement if ours && message.code == Code::EMPTY => {
                // A separate response follows, sooner or later.
                self.acknowledged = true;
                self.deadline = now + params::MAX_TRANSMIT_WAIT;
                Progress::Waits
            }
            Type::Acknowledgement if !ours => Progress::Waits,
            kind if message.code.is_response() && message.token == self.token => {
                let acknowledgement = (kind == Type::Confirmable).then(|| acknowledge(message.message_id));
                Progress::Answered { response: read(&message), acknowledgement }
            }
            _ => Progress::Waits,
        }
    }
}

fn write(request: &Request, message_id: u16, token: [u8; 4]) -> Result<Vec<u8>, Full> {
    let mut buffer = [0; Exchange::LONGEST];
    let mut writer = Writer::new(&mut buffer, Type::Confirmable, request.method, message_id, &token)?;
    for segment in &request.path {
        writer.option(option::URI_PATH, segment.as_bytes())?;
    }
    if let Some((format, _)) = &request.payload {
        writer.uint_option(option::CONTENT_FORMAT, u32::from(*format))?;
    }
    for argument in &request.query {
        writer.option(option::URI_QUERY, argument.as_bytes())?;
    }
    let length = match &request.payload {
        Some((_, payload)) => writer.payload(payload)?,
        None => writer.finish(),
    };
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

fn read(message: &Message<'_>) -> Response {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let location = message.options().filter(|opt| opt.number == option::LOCATION_PATH);
    Response {
        code: message.code,
        location: location.map(|opt| text(opt.value)).collect(),
        payload: message.payload.to_vec(),
    }
}

fn acknowledge(message_id: u16) -> Vec<u8> {
    let [high, low] = message_id.to_be_bytes();
    vec![1 << 6 | (Type::Acknowledgement as u8) << 4, 0, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::coap::content_format;

    const SECOND: Duration = Duration::from_secs(1);
    /// Message ID 0x0304, Token 05060708, no spread.
    const RANDOM: u64 = 0x0000_0304_0506_0708;

    fn start() -> (Exchange, Vec<u8>) {
        let request = Request {
            method: Code::POST,
            path: vec!["rd".to_owned()],
            query: vec!["ep=r".to_owned(), "lt=60".to_owned()],
            payload: Some((content_format::LINK_FORMAT, b"</fw>".to_vec())),
        };
        Exchange::start(&request, Instant::ZERO, RANDOM).unwrap()
    }

    #[test]
    fn the_request_is_as_the_standard_has_it() {
        let (_, datagram) = start();
        assert_eq!(datagram, b"\x44\x02\x03\x04\x05\x06\x07\x08\xb2rd\x11\x28\x34ep=r\x05lt=60\xff</fw>");
        let long =
            Request { method: Code::GET, path: vec![], query: vec![], payload: Some((0, vec![1; 2000])) };
        assert!(Exchange::start(&long, Instant::ZERO, RANDOM).is_none());
    }

    #[test]
    fn it_is_sent_five_times_in_ever_longer_intervals() {
        let (mut exchange, datagram) = start();
        let mut sent = Vec::new();
        let end = loop {
            let at = exchange.deadline();
            assert_eq!(exchange.wait(Instant::ZERO), Progress::Waits);
            match exchange.wait(at) {
                Progress::Sends(again) => assert_eq!(again, datagram),
                end => break (end, at),
            }
            sent.push(at.since(Instant::ZERO).as_secs());
        };
        assert_eq!((sent, end), (vec![2, 6, 14, 30], (Progress::Failed, Instant::ZERO + 62 * SECOND)));
    }

    #[test]
    fn a_response_comes_with_the_acknowledgement_or_later() {
        let location = vec!["reg".to_owned(), "7".to_owned()];
        let response = Response { code: Code::CREATED, location, payload: vec![] };
        let (mut exchange, _) = start();
        let piggybacked = exchange.hear(Instant::ZERO, b"\x64\x41\x03\x04\x05\x06\x07\x08\x83reg\x017");
        assert_eq!(piggybacked, Progress::Answered { response: response.clone(), acknowledgement: None });
        let (mut exchange, _) = start();
        assert_eq!(exchange.hear(Instant::ZERO, b"\x60\x00\x03\x04"), Progress::Waits);
        assert_eq!(exchange.deadline(), Instant::ZERO + 93 * SECOND, "nothing is sent again");
        let separate = exchange.hear(Instant::ZERO, b"\x44\x41\x11\x12\x05\x06\x07\x08\x83reg\x017");
        let acknowledgement = Some(b"\x60\x00\x11\x12".to_vec());
        assert_eq!(separate, Progress::Answered { response, acknowledgement });
        let (mut exchange, _) = start();
        assert_eq!(exchange.hear(Instant::ZERO, b"\x70\x00\x03\x04"), Progress::Failed);
    }

    #[test]
    fn what_is_for_another_exchange_is_ignored() {
        let (mut exchange, _) = start();
        for datagram in [
            &b""[..],
            b"\x60\x00\x03\x05",
            b"\x70\x00\x03\x05",
            b"\x64\x41\x03\x05\x05\x06\x07\x08",
            b"\x64\x41\x03\x04\x05\x06\x07\x09",
            b"\x44\x01\x03\x04\x05\x06\x07\x08",
        ] {
            assert_eq!(exchange.hear(Instant::ZERO, datagram), Progress::Waits, "{datagram:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_survived(datagram: Vec<u8>) {
            let (mut exchange, _) = start();
            for prefix in [&b""[..], b"\x64\x41\x03\x04\x05\x06\x07\x08", b"\x44\x45\x03\x04\x05\x06\x07\x08"] {
                exchange.hear(Instant::ZERO, &[prefix, &datagram].concat());
            }
        }
    }
}
