"""One request with aiocoap; writes a line of JSON for the response and for each notification.

The line has code, etag, max_age, content_format, observe, and body: the name of a file with the body's bytes.
"""

import argparse
import asyncio
import json
import pathlib
import sys

import aiocoap
import cbor2
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# Of COSE: a CCS as credential (RFC 9528 section 9.6), and a key on P-256 with its private part (RFC 9053 section 7.1).
KCCS = 14
KTY, CRV, D = 1, -1, -4
EC2, P256 = 2, 1


def describe(response, number, folder):
    body = f"{folder}/body{number}"
    with open(body, "wb") as file:
        file.write(response.payload)
    option = response.opt
    content_format = option.content_format
    line = {
        "code": response.code.dotted,
        "etag": option.etag.hex() if option.etag is not None else None,
        "max_age": option.max_age,
        "content_format": int(content_format) if content_format is not None else None,
        "observe": option.observe,
        "body": body,
    }
    print(json.dumps(line), flush=True)


def request_from(arguments):
    code = getattr(aiocoap, arguments.method)
    request = aiocoap.Message(code=code, uri=arguments.uri, payload=b"" if arguments.method == "GET" else b"x")
    if arguments.proxy_uri:
        request.opt.proxy_uri = arguments.proxy_uri
    if arguments.szx is not None:
        request.opt.block2 = (0, False, arguments.szx)
    if arguments.etag:
        request.opt.etags = [bytes.fromhex(arguments.etag)]
    if arguments.accept is not None:
        request.opt.accept = arguments.accept
    if arguments.observe:
        request.opt.observe = 0
    return request


def credential(path):
    return {KCCS: cbor2.loads(bytes.fromhex(pathlib.Path(path).read_text()))}


def credentials_from(arguments):
    if arguments.oscore:
        return {"oscore": {"basedir": arguments.oscore}}
    key = load_pem_private_key(pathlib.Path(arguments.edhoc).read_bytes(), None)
    private = key.private_numbers().private_value.to_bytes(32, "big")
    return {
        "edhoc-oscore": {
            "suite": 2,
            "method": 3,
            "own_cred_style": "by-key-id",
            "own_cred": credential(f"{arguments.edhoc}.ccs"),
            "private_key": {KTY: EC2, CRV: P256, D: private},
            "peer_cred": credential(arguments.edhoc_peer),
            # The other way is that of RFC 9668, in which no message_4 comes.
            "use_combined_edhoc": False,
        }
    }


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("uri")
    parser.add_argument("folder")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--proxy-uri")
    parser.add_argument("--szx", type=int)
    parser.add_argument("--etag", help="hexadecimal")
    parser.add_argument("--accept", type=int)
    parser.add_argument("--observe", action="store_true", help="stay and print notifications")
    parser.add_argument("--oscore", help="directory of an OSCORE security context")
    parser.add_argument("--edhoc", help="private key (PEM), with its credential in FILE.ccs, to agree on a context with")
    parser.add_argument("--edhoc-peer", help="the other side's credential")
    arguments = parser.parse_args()
    is_protected = bool(arguments.oscore or arguments.edhoc)
    # By itself it leaves OSCORE out where it lacks one of its options.
    transports = ["oscore", "udp6"] if is_protected else None
    context = await aiocoap.Context.create_client_context(transports=transports)
    if is_protected:
        context.client_credentials.load_from_dict({"coap://*": credentials_from(arguments)})
    exchange = context.request(request_from(arguments))
    describe(await exchange.response, 0, arguments.folder)
    if arguments.observe:
        number = 1
        async for notification in exchange.observation:
            describe(notification, number, arguments.folder)
            number += 1
    await context.shutdown()


try:
    asyncio.run(main())
except aiocoap.error.Error as error:
    sys.exit(f"aiocoap: {type(error).__name__}: {error}")
