//! A loopback HTTP origin of a few lines: enough of HTTP/1.1 for a relay that asks for whole bodies.

use anyhow::Result;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Serves `files` by their path on a port of its own until the process ends.
pub(super) fn serve(files: HashMap<String, Vec<u8>>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let files = Arc::new(files);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = Arc::clone(&files);
            thread::spawn(move || answer_all(&stream, &files));
        }
    });
    Ok(address)
}

/// Answers request after request, until the client closes the connection or it breaks.
fn answer_all(stream: &TcpStream, files: &HashMap<String, Vec<u8>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request_line) = lines.next() {
        let request_line = request_line?;
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let path = request_line.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match files.get(path) {
            Some(body) => ("200 OK", body.as_slice()),
            None => ("404 Not Found", &[][..]),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: application/octet-stream\r\n\
             ETag: \"1\"\r\nCache-Control: max-age=3600\r\n\r\n"
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn two_requests_on_one_connection() {
        let address = serve(HashMap::from([("/image".into(), b"abc".to_vec())])).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /image HTTP/1.1\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 404")
                && text.contains("HTTP/1.1 200")
                && text.ends_with("\r\n\r\nabc")
        );
    }
}
