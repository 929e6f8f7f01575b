"""One request with aiocoap; writes a line of JSON for the response and for each notification.

The line has code, etag, max_age, content_format, observe, and body: the name of a file with the body's bytes.
"""

import argparse
import asyncio
import importlib.util
import json
import sys
import unittest.mock

if importlib.util.find_spec("lakers") is None:
    # aiocoap's OSCORE does not load without EDHOC, which no test here asks it for.
    sys.modules["lakers"] = unittest.mock.MagicMock()

import aiocoap


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
    arguments = parser.parse_args()
    # By itself it leaves OSCORE out where it cannot do EDHOC.
    transports = ["oscore", "udp6"] if arguments.oscore else None
    context = await aiocoap.Context.create_client_context(transports=transports)
    if arguments.oscore:
        context.client_credentials.load_from_dict({"coap://*": {"oscore": {"basedir": arguments.oscore}}})
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
