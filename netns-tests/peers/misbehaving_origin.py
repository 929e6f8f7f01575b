"""An HTTPS/1.1 origin server that breaks its promises, each path in its own way.

usage: misbehaving_origin.py PORT CERTIFICATE KEY FILE

Every path serves FILE; the first path segment says what goes wrong:
  /truncated/  half of the body, then the connection closes; the same for every range
  /misfit/     half of the body; a range is then answered for a file of another length
  /changed/    half of the body; a range is then answered with 206 and another ETag
  /short/      Content-Length says half, the whole file follows
  /trickle/    one byte a second
  /silent/     no answer at all
Writes one line a request to standard output: path, Range header.
"""

import socket
import ssl
import sys
import threading
import time


def head(status, length, etag='"one"', more=""):
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n"
            f"ETag: {etag}\r\n{more}\r\n").encode()


def part(body, start, total, etag='"one"'):
    content_range = f"Content-Range: bytes {start}-{total - 1}/{total}\r\n"
    return head("206 Partial Content", total - start, etag, content_range) + body[start:]


def answer(connection, kind, start, body):
    half = len(body) // 2
    if kind == "truncated" and start is not None:
        rest = len(body) - start
        content_range = f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}\r\n"
        connection.sendall(head("206 Partial Content", rest, '"one"', content_range))
    elif kind == "misfit" and start is not None:
        connection.sendall(part(body + b"surplus", start, len(body) + 7))
    elif kind == "changed" and start is not None:
        connection.sendall(part(bytes(len(body)), start, len(body), '"two"'))
    elif kind in ("truncated", "misfit", "changed"):
        connection.sendall(head("200 OK", len(body)) + body[:half])
    elif kind == "short":
        connection.sendall(head("200 OK", half) + body)
    elif kind == "trickle":
        connection.sendall(head("200 OK", len(body)))
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(1)
    elif kind == "silent":
        time.sleep(600)
    else:
        connection.sendall(head("404 Not Found", 0))


def serve(raw, context, body):
    try:
        with context.wrap_socket(raw, server_side=True) as connection:
            request = b""
            while b"\r\n\r\n" not in request:
                received = connection.recv(4096)
                if not received:
                    return
                request += received
            lines = request.decode("latin-1").split("\r\n")
            path = lines[0].split(" ")[1]
            ranges = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("range:")]
            print(path, *ranges, flush=True)
            start = int(ranges[0].removeprefix("bytes=").split("-")[0]) if ranges else None
            answer(connection, path.split("/")[1], start, body)
    except OSError:
        pass  # The relay went away, as it may.


def main():
    port, certificate, key, file = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with open(file, "rb") as opened:
        body = opened.read()
    with socket.create_server(("::", int(port)), family=socket.AF_INET6) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, context, body), daemon=True).start()


main()
