#!/usr/bin/env python3
"""Reads an .apk of version 3, or an index, as apk-tools' apk-v3(5) describes it, and writes what it says as JSON: read_apk.py FILE FOLDER

A package's files and folders go below FOLDER; of an index's signature: who made it ("key"), over what ("signed"), and itself ("signature"). It knows nothing of how the package was written, and stops at whatever contradicts itself.
"""

import hashlib
import json
import pathlib
import struct
import sys
import zlib

INFO = "name version hashes description arch license origin maintainer url repo-commit build-time installed-size file-size"
INFO += " provider-priority depends provides replaces install-if recommends layer tags"
SCRIPTS = "trigger pre-install post-install pre-deinstall post-deinstall pre-upgrade post-upgrade"


def sure(condition, complaint):
    if not condition:
        sys.exit(f"not an apk package: {complaint}")


class Values:
    """The values of an ADB block. A container's slots are asked for by number, from 1."""

    def __init__(self, data):
        self.data = data
        compatible, _, reserved, self.root = struct.unpack_from("<BBHI", data)
        sure(compatible == 0 and reserved == 0, "another version of the format")

    def read(self, tag):
        kind, value = tag >> 28, tag & 0x0FFFFFFF
        if kind == 0x0:
            return {0: None, 1: True, 2: False}[value]
        if kind == 0x1:
            return value
        if kind in (0x2, 0x3):
            return struct.unpack_from("<I" if kind == 0x2 else "<Q", self.data, value)[0]
        if kind in (0x8, 0x9, 0xA):
            form = {0x8: "<B", 0x9: "<H", 0xA: "<I"}[kind]
            sure(value % struct.calcsize(form) == 0, f"a blob at {value} is not aligned")
            length = struct.unpack_from(form, self.data, value)[0]
            start = value + struct.calcsize(form)
            sure(start + length <= len(self.data), "a blob past the end")
            return self.data[start : start + length]
        sure(kind in (0xD, 0xE) and value % 4 == 0, f"a value of kind {kind:x} at {value}")
        count = struct.unpack_from("<I", self.data, value)[0]
        sure(1 < count < 10000, f"a container of {count} slots")
        return [self.read(slot) for slot in struct.unpack_from(f"<{count - 1}I", self.data, value + 4)]


def blocks(body):
    """(type, payload); each begins at a multiple of 8."""
    position = 8
    while position < len(body):
        word = struct.unpack_from("<I", body, position)[0]
        kind, size = word >> 30, word & 0x3FFFFFFF
        sure(4 <= size <= len(body) - position, f"a block of {size} bytes")
        yield kind, body[position + 4 : position + size]
        end = position + size
        position = (end + 7) // 8 * 8
        sure(not any(body[end:position]), "padding that is not zero")
    sure(position == len(body), "bytes after the last block")


def mode_of(access):
    mode, user, group = access
    sure((user, group) == (b"root", b"root"), "a file that is not root's")
    return mode


def text(value):
    if isinstance(value, bytes):
        return value.decode()
    return [text(item) for item in value] if isinstance(value, list) else value


def described(info):
    """Package information under its names; digests, and what else is not text, in hexadecimal."""
    found = {key: value for key, value in zip(INFO.split(), info) if value is not None}
    digest = found.pop("hashes").hex()
    return {key: text(value) for key, value in found.items()} | {"hashes": digest}


def read_index(database, signatures, folder):
    sure(len(signatures) <= 1, "more than one signature")
    values = Values(database)
    description, packages = values.read(values.root)
    for signature in signatures:
        version, digest = signature[:2]
        sure((version, digest) == (0, 4), "a signature of another version, or over another digest than SHA-512")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key").write_bytes(signature[2:18])
        (folder / "signed").write_bytes(b"indx" + signature[:18] + hashlib.sha512(database).digest())
        (folder / "signature").write_bytes(signature[18:])
    listed = [described(info) for info in packages]
    names = [package["name"] for package in listed]
    sure(names == sorted(names), "packages that are not in order")
    json.dump({"description": text(description), "packages": listed}, sys.stdout, indent=1)


def main():
    package, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    packed = pathlib.Path(package).read_bytes()
    sure(packed[:4] == b"ADBd", "it does not begin with ADBd")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflate.decompress(packed[4:]) + inflate.flush()
    sure(inflate.eof and not inflate.unused_data, "the compressed stream does not end with the file")
    sure(body[:8] in (b"ADB.pckg", b"ADB.indx"), "neither the schema of packages nor that of indices")
    (first, database), *data = blocks(body)
    if body[4:8] == b"indx":
        sure(first == 0 and all(kind == 1 for kind, _ in data), "one ADB block and then signatures")
        return read_index(database, [signature for _, signature in data], folder)
    sure(first == 0 and all(kind == 2 for kind, _ in data), "one ADB block and then DATA blocks")

    values = Values(database)
    about, paths, scripts = values.read(values.root)
    about = described(about)
    # By this an index knows it; what it says of itself is not.
    about["hashes"] = hashlib.sha256(database).hexdigest()

    content = {struct.unpack_from("<II", payload): payload[8:] for _, payload in data}
    names = [path[0] for path in paths]
    sure(names == sorted(names) and len(names) == len(set(names)), "folders that are not in order")
    files, size = {}, 0
    for path_index, (name, access, *entries) in enumerate(paths, 1):
        sure(mode_of(access) == 0o755, "a folder of another mode")
        (folder / name.decode()).mkdir(parents=True, exist_ok=True)
        entries = entries[0] if entries and entries[0] else []
        sure([entry[0] for entry in entries] == sorted(entry[0] for entry in entries), "files that are not in order")
        for file_index, (file, access, length, time, digest) in enumerate(entries, 1):
            bytes_ = content.pop((path_index, file_index))
            sure(len(bytes_) == length and hashlib.sha256(bytes_).digest() == digest, f"{file}: other bytes")
            path = f"{name.decode()}/{file.decode()}"
            files[path] = {"mode": f"{mode_of(access):o}", "time": time}
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(bytes_)
            place.chmod(mode_of(access))
            size += length
    sure(not content, "data of no file")
    sure(about["installed-size"] == size, "another installed size")
    scripts = {key: text(value) for key, value in zip(SCRIPTS.split(), scripts) if value}
    json.dump({"info": about, "files": files, "scripts": scripts}, sys.stdout, indent=1)


main()
