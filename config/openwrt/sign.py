#!/usr/bin/env python3
"""Signs the indices of feeds that package.py has written: Packages for opkg, packages.adb for apk.

    sign.py [--opkg KEY] [--apk KEY] FOLDER...

For opkg KEY is a secret key of usign or signify without passphrase, for apk a private key in PEM on the curve prime256v1: the two
know no common kind. The same index and key make the same bytes. Needs PyPI's cryptography.
"""

import argparse
import base64
import hashlib
import pathlib
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

sys.dont_write_bytecode = True
import apk

SHA512 = 4


class Refused(Exception):
    pass


def usign(key, message):
    """The signature file of usign and signify. A key is "Ed", "BK", rounds, salt, checksum, fingerprint, seed and public key."""
    try:
        data = base64.b64decode(key.read_text().splitlines()[1], validate=True)
        algorithm, _, rounds, _, checksum, fingerprint, secret = struct.unpack(">2s2sI16s8s8s64s", data)
    except (IndexError, ValueError, struct.error):
        raise Refused(f"{key} is no secret key of usign or signify") from None
    if algorithm != b"Ed":
        raise Refused(f"{key} is not for Ed25519")
    if rounds or hashlib.sha512(secret).digest()[:8] != checksum:
        raise Refused(f"{key} has a passphrase, or is damaged: make one without (usign -G, signify -G -n)")
    signature = ed25519.Ed25519PrivateKey.from_private_bytes(secret[:32]).sign(message)
    encoded = base64.b64encode(b"Ed" + fingerprint + signature).decode()
    return f"untrusted comment: signed by key {fingerprint.hex()}\n{encoded}\n"


def signed(key, packed):
    """An index of apk with one signature, whatever it had before: of the schema, of what says who signed, and of the database's digest."""
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (TypeError, ValueError):
        raise Refused(f"{key} is no private key in PEM, or has a passphrase") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise Refused(f"{key} is not on prime256v1: openssl ecparam -name prime256v1 -genkey -noout")
    body = apk.inflated(packed)
    size = struct.unpack_from("<I", body, 8)[0] & 0x3FFFFFFF
    database = body[12 : 8 + size]
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    header = bytes([0, SHA512]) + hashlib.sha512(point).digest()[:16]
    message = body[4:8] + header + hashlib.sha512(database).digest()
    signature = private.sign(message, ec.ECDSA(hashes.SHA512(), deterministic_signing=True))
    return apk.deflated(body[:8] + apk.block(apk.BLOCK_ADB, database) + apk.block(apk.BLOCK_SIGNATURE, header + signature))


def main():
    options = argparse.ArgumentParser(description="Signs the indices of feeds.")
    options.add_argument("--opkg", type=pathlib.Path, metavar="KEY", help="secret key of usign or signify")
    options.add_argument("--apk", type=pathlib.Path, metavar="KEY", help="private key in PEM on prime256v1")
    options.add_argument("folders", type=pathlib.Path, nargs="+", metavar="FOLDER")
    wanted = options.parse_args()
    try:
        for folder in wanted.folders:
            if wanted.opkg:
                text = usign(wanted.opkg, (folder / "Packages").read_bytes())
                (folder / "Packages.sig").write_text(text)
            if wanted.apk:
                index = folder / "packages.adb"
                index.write_bytes(signed(wanted.apk, index.read_bytes()))
    except (Refused, OSError) as complaint:
        sys.exit(f"operator: {complaint}")


main()
