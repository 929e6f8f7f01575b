"""One end of an OSCORE session, without a network: bytes in, bytes out.

Reads lines of JSON with "do" and what that needs, and answers each with a line: {"message": hexadecimal} or {"refused": why}.

  new: secret, salt, id_context or null, sender_id, recipient_id (hexadecimal); number: the next Sender Sequence Number
  protect, unprotect: message, and for responses request: the name of the request that they belong to
  restart: forgets the replay window, and asks for an Echo from then on

Requests are remembered under "request".
"""

import json
import sys

from aiocoap import oscore
from aiocoap.message import Direction, Message


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """What aiocoap keeps in files, in memory."""

    alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
    hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]
    echo_recovery = None

    def __init__(self, ask):
        self.sender_id = bytes.fromhex(ask["sender_id"])
        self.recipient_id = bytes.fromhex(ask["recipient_id"])
        self.id_context = bytes.fromhex(ask["id_context"]) if ask["id_context"] is not None else None
        self.derive_keys(bytes.fromhex(ask["salt"]), bytes.fromhex(ask["secret"]))
        self.sender_sequence_number = ask["number"]
        self.new_window()
        self.recipient_replay_window.initialize_empty()

    def new_window(self):
        self.recipient_replay_window = oscore.ReplayWindow(oscore.DEFAULT_WINDOWSIZE, lambda: None)

    def post_seqnoincrease(self):
        pass


def encoded(message, header):
    """With the parts of the header that OSCORE leaves alone."""
    message.mid, message.token, message.mtype = header.mid, header.token, header.mtype
    message.direction = Direction.OUTGOING
    return {"message": message.encode().hex()}


class End:
    def __init__(self):
        self.context = None
        self.requests = {}

    def new(self, ask):
        self.context = Context(ask)
        self.requests = {}
        return {}

    def restart(self, _ask):
        self.context.new_window()
        self.context.echo_recovery = b"fresh?"
        return {}

    def protect(self, ask):
        message = Message.decode(bytes.fromhex(ask["message"]))
        message.direction = Direction.OUTGOING
        request = None if message.code.is_request() else self.requests[ask["request"]]
        protected, request = self.context.protect(message, request)
        self.requests[ask["request"]] = request
        return encoded(protected, message)

    def unprotect(self, ask):
        message = Message.decode(bytes.fromhex(ask["message"]))
        request = None if message.code.is_request() else self.requests[ask["request"]]
        try:
            plain, request = self.context.unprotect(message, request)
        except oscore.ReplayErrorWithEcho as error:
            return encoded(error.to_message(), message) | {"refused": "ReplayErrorWithEcho"}
        except oscore.ProtectionInvalid as error:
            return {"refused": type(error).__name__}
        self.requests[ask["request"]] = request
        # aiocoap notes here what it makes of the order of notifications, which no message can hold.
        if plain.code.is_response() and plain.opt.observe is not None:
            plain.opt.observe = 0
        return encoded(plain, message)


def main():
    end = End()
    for line in sys.stdin:
        ask = json.loads(line)
        print(json.dumps(getattr(end, ask["do"])(ask)), flush=True)


main()
