use super::*;
use embedded_storage::nor_flash::{ErrorType, NorFlashErrorKind, ReadNorFlash};
use std::vec;
use std::vec::Vec;

const SLOT: Range<u32> = 1024..4096;
const PORT: u16 = 2000;
const BUFFER: usize = 128;

/// NOR flash in memory: a second write without an erase is an error.
struct Memory(Vec<u8>);

impl ErrorType for Memory {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let from = offset as usize;
        bytes.copy_from_slice(self.0.get(from..from + bytes.len()).ok_or(NorFlashErrorKind::OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.0.get_mut(from as usize..to as usize).ok_or(NorFlashErrorKind::OutOfBounds)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let place = self.0.get_mut(offset as usize..offset as usize + bytes.len());
        let place = place.ok_or(NorFlashErrorKind::OutOfBounds)?;
        if place.iter().any(|byte| *byte != 0xff) || offset % 4 + bytes.len() as u32 % 4 != 0 {
            return Err(NorFlashErrorKind::NotAligned);
        }
        place.copy_from_slice(bytes);
        Ok(())
    }
}

fn client() -> Tftp<'static, Memory> {
    Tftp::new(Memory(vec![0; 8192]), SLOT, b"image.bin", Instant::ZERO).unwrap()
}

fn sent(tftp: &mut Tftp<'_, Memory>) -> Option<(Vec<u8>, u16)> {
    let mut buffer = [0; BUFFER];
    let (length, port) = tftp.poll_transmit(&mut buffer)?;
    Some((buffer[..length].to_vec(), port))
}

fn image(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn data(image: &[u8], block_bytes: usize, block: u16) -> Vec<u8> {
    let start = block_bytes * (usize::from(block) - 1);
    let end = image.len().min(start + block_bytes);
    [&[0, 3], &block.to_be_bytes()[..], &image[start..end]].concat()
}

/// What a server that knows `blksize`, or does not, answers to a packet.
fn answer(packet: &[u8], image: &[u8], block_bytes: usize) -> Option<Vec<u8>> {
    match (packet[1], block_bytes) {
        (1, 512) => Some(data(image, 512, 1)),
        (1, size) => Some([b"\0\x06BLKSIZE\0", std::format!("{size}\0").as_bytes()].concat()),
        (4, size) => {
            let next = u16::from_be_bytes([packet[2], packet[3]]) + 1;
            (usize::from(next - 1) * size <= image.len()).then(|| data(image, size, next))
        }
        _ => None,
    }
}

/// Every third packet is lost, every fourth comes twice.
fn fetch(image: &[u8], block_bytes: usize) -> Tftp<'static, Memory> {
    let (mut tftp, mut now, mut packets) = (client(), Instant::ZERO, 0);
    while let Some(timeout) = tftp.poll_timeout() {
        let Some((packet, _)) = sent(&mut tftp) else {
            now = timeout;
            tftp.handle_timeout(now).unwrap();
            continue;
        };
        packets += 1;
        assert!(packets < 100, "no progress");
        let copies = [1, 1, 0, 2][packets % 4];
        let Some(answer) = answer(&packet, image, block_bytes) else { continue };
        (0..copies).for_each(|_| tftp.handle_datagram(now, PORT, &answer).unwrap());
    }
    tftp
}

#[test]
fn an_image_comes_whole_whatever_is_lost_or_comes_twice() {
    for (bytes, block_bytes) in [(2049, 1024), (2048, 1024), (2500, 512), (0, 512), (1023, 64)] {
        let image = image(bytes);
        let tftp = fetch(&image, block_bytes);
        assert_eq!(tftp.written() as usize, bytes);
        assert_eq!(tftp.flash.0[1024..1024 + bytes], image, "{bytes} bytes in blocks of {block_bytes}");
        assert!(tftp.flash.0[1024 + bytes..4096].iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn the_request_is_as_in_the_rfcs_and_goes_to_the_well_known_port() {
    let request = b"\0\x01image.bin\0octet\0blksize\x001024\0".to_vec();
    assert_eq!(sent(&mut client()), Some((request, SERVER_PORT)));
}

#[test]
fn another_port_than_the_servers_is_nobody() {
    let image = image(2049);
    let mut tftp = client();
    tftp.handle_datagram(Instant::ZERO, PORT, &data(&image, 512, 1)).unwrap();
    tftp.handle_datagram(Instant::ZERO, PORT + 1, &data(&image, 512, 2)).unwrap();
    tftp.handle_datagram(Instant::ZERO, PORT, &data(&image, 512, 3)).unwrap();
    assert_eq!(tftp.written(), 512);
}

#[test]
fn an_error_and_a_long_silence_begin_anew_from_another_port() {
    let image = image(2049);
    for packet in [&b"\0\x05\0\x01gone\0"[..], b""] {
        let mut tftp = client();
        let port = tftp.local_port();
        tftp.handle_datagram(Instant::ZERO, PORT, &data(&image, 512, 1)).unwrap();
        tftp.handle_datagram(Instant::ZERO, PORT, packet).unwrap();
        while tftp.written() > 0 {
            let now = tftp.poll_timeout().unwrap();
            tftp.handle_timeout(now).unwrap();
        }
        assert_ne!(tftp.local_port(), port);
        assert_eq!(sent(&mut tftp).unwrap().1, SERVER_PORT);
        assert!(tftp.flash.0[1024..4096].iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn an_image_that_does_not_fit_is_not_written_past_the_slot() {
    let image = image(3100);
    let mut tftp = client();
    for block in 1..=7 {
        tftp.handle_datagram(Instant::ZERO, PORT, &data(&image, 512, block)).unwrap();
    }
    assert_eq!((tftp.written(), tftp.state), (3072, State::Pausing));
}
