#!/usr/bin/env python3
"""Writes the OpenWrt packages of a static sixfold-relay, for opkg (24.10 and before) and for apk (25.12 and after).

    package.py ARCHITECTURE PROGRAM SBOM DIRECTORY

No SDK is needed: an .ipk is a tar of tars, and an .apk of version 3 is described in apk-tools' apk-v3(5). The same input
makes the same bytes; times are SOURCE_DATE_EPOCH.
"""

import gzip
import hashlib
import io
import os
import pathlib
import re
import struct
import sys
import tarfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FILES = HERE / "sixfold" / "files"
NAME = "sixfold"
DEPENDS = ["ca-bundle"]
USER = "sixfold:sixfold"
LICENSE = "MIT OR Apache-2.0"
DESCRIPTION = "Firmware updates for devices behind a 6LoWPAN border router: a caching CoAP-to-HTTPS proxy"
CONFFILE = "etc/config/sixfold"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def version():
    """That of the workspace, as opkg and apk both read it."""
    text = (ROOT / "Cargo.toml").read_text()
    return re.search(r'^version = "([^"]+)"$', text, re.M).group(1).replace("-rc.", "_rc") + "-r1"


def contents(program, sbom):
    """(path, mode, bytes) of everything that is installed, in the order of their paths."""
    files = [
        ("usr/bin/sixfold-relay", 0o755, pathlib.Path(program)),
        (CONFFILE, 0o600, FILES / "sixfold.config"),
        ("etc/init.d/sixfold", 0o755, FILES / "sixfold.init"),
        ("etc/uci-defaults/80_sixfold", 0o755, FILES / "sixfold.defaults"),
        ("etc/capabilities/sixfold.json", 0o644, FILES / "sixfold.capabilities.json"),
        ("etc/sysctl.d/60-sixfold.conf", 0o644, ROOT / "config/systemd/sixfold.sysctl"),
        ("lib/upgrade/keep.d/sixfold", 0o644, FILES / "sixfold.keep"),
        ("usr/share/sixfold/relay.toml", 0o644, ROOT / "config/relay.toml"),
        ("usr/share/sixfold/sbom.cdx.json", 0o644, pathlib.Path(sbom)),
    ]
    return sorted((path, mode, source.read_bytes()) for path, mode, source in files)


def script(action, *exports):
    """What OpenWrt's own packages run: its functions make the user, run uci-defaults, enable and start the service."""
    lines = [
        "#!/bin/sh",
        '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0',
        "[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0",
        ". ${IPKG_INSTROOT}/lib/functions.sh",
        *exports,
        action,
    ]
    return ("\n".join(lines) + "\n").encode()


# opkg


def tar_gz(entries):
    """A gzipped tar with the folders of its files, all of them root's and of one time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        made = set()
        for path, mode, data in entries:
            parents = [str(parent) for parent in pathlib.PurePosixPath(path).parents][::-1]
            for parent in parents:
                if parent not in made:
                    made.add(parent)
                    archive.addfile(entry("./" + parent.lstrip("."), 0o755, tarfile.DIRTYPE))
            archive.addfile(entry("./" + path, mode, tarfile.REGTYPE, len(data)), io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=EPOCH, filename="") as stream:
        stream.write(raw.getvalue())
    return packed.getvalue()


def entry(name, mode, kind, size=0):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.mtime = mode, kind, size, EPOCH
    info.uname = info.gname = "root"
    return info


def ipk(architecture, files):
    fields = {
        "Package": NAME,
        "Version": version(),
        "Depends": ", ".join(DEPENDS),
        "License": LICENSE,
        "Section": "net",
        "Require-User": USER,
        "Architecture": architecture,
        "Installed-Size": str(sum(len(data) for _, _, data in files)),
        "Description": DESCRIPTION,
    }
    control = "".join(f"{key}: {value}\n" for key, value in fields.items())
    control = [
        ("conffiles", 0o644, f"/{CONFFILE}\n".encode()),
        ("control", 0o644, control.encode()),
        ("postinst", 0o755, script("default_postinst $0 $@")),
        ("prerm", 0o755, script("default_prerm $0 $@")),
    ]
    return tar_gz(
        [
            ("debian-binary", 0o644, b"2.0\n"),
            ("data.tar.gz", 0o644, tar_gz(files)),
            ("control.tar.gz", 0o644, tar_gz(control)),
        ]
    )


# apk: a database ("ADB") of tagged words that point backwards into the block they are in. Slots are numbered from 1, and
# the first word of a container counts its slots and itself.

INT, INT32, INT64 = 0x1 << 28, 0x2 << 28, 0x3 << 28
BLOB8, BLOB16, BLOB32 = 0x8 << 28, 0x9 << 28, 0xA << 28
ARRAY, OBJECT = 0xD << 28, 0xE << 28
BLOCK_ADB, BLOCK_DATA = 0, 2


class Database:
    def __init__(self):
        # Versions of the format, and the root, which is known last.
        self.bytes = bytearray(8)

    def place(self, data, alignment):
        self.bytes += bytes(-len(self.bytes) % alignment)
        self.bytes += data
        return len(self.bytes) - len(data)

    def integer(self, value):
        if value < 1 << 28:
            return INT | value
        if value < 1 << 32:
            return INT32 | self.place(struct.pack("<I", value), 4)
        return INT64 | self.place(struct.pack("<Q", value), 8)

    def blob(self, value):
        value = value.encode() if isinstance(value, str) else value
        if not value:
            return 0
        for kind, form, limit in [(BLOB8, "<B", 1 << 8), (BLOB16, "<H", 1 << 16), (BLOB32, "<I", 1 << 32)]:
            if len(value) < limit:
                return kind | self.place(struct.pack(form, len(value)) + value, struct.calcsize(form))
        raise ValueError("too long")

    def container(self, kind, slots):
        while slots and slots[-1] == 0:
            slots = slots[:-1]
        return kind | self.place(struct.pack(f"<{len(slots) + 1}I", len(slots) + 1, *slots), 4) if slots else 0

    def object(self, **slots):
        """Slots by name, as apk-tools' apk_adb.h numbers them: n1, n2, ..."""
        numbered = {int(name[1:]): value for name, value in slots.items()}
        return self.container(OBJECT, [numbered.get(index, 0) for index in range(1, max(numbered) + 1)])

    def array(self, items):
        return self.container(ARRAY, list(items))

    def access(self, mode):
        return self.object(n1=self.integer(mode), n2=self.blob("root"), n3=self.blob("root"))


def apk(architecture, files):
    base = f"lib/apk/packages/{NAME}"
    listed = "".join(f"/{path}\n" for path, _, _ in files)
    digest = next(hashlib.sha256(data).hexdigest() for path, _, data in files if path == CONFFILE)
    # What OpenWrt's functions look for: which files there are, which are the operator's, and which user to make.
    files = sorted(
        files
        + [
            (base + ".list", 0o644, listed.encode()),
            (base + ".conffiles", 0o644, f"/{CONFFILE}\n".encode()),
            (base + ".conffiles_static", 0o644, f"/{CONFFILE} {digest}\n".encode()),
            (base + ".rusers", 0o644, f"{USER}\n".encode()),
        ]
    )
    database = Database()
    folders = {}
    for path, mode, data in files:
        for parent in list(pathlib.PurePosixPath(path).parents)[:-1]:
            folders.setdefault(str(parent), [])
        folder, name = path.rsplit("/", 1)
        folders[folder].append((name, mode, data))

    blocks, paths = [], []
    for path_index, folder in enumerate(sorted(folders), 1):
        entries = []
        for file_index, (name, mode, data) in enumerate(sorted(folders[folder]), 1):
            entries.append(
                database.object(
                    n1=database.blob(name),
                    n2=database.access(mode),
                    n3=database.integer(len(data)),
                    n4=database.integer(EPOCH),
                    n5=database.blob(hashlib.sha256(data).digest()),
                )
            )
            blocks.append(struct.pack("<II", path_index, file_index) + data)
        paths.append(
            database.object(n1=database.blob(folder), n2=database.access(0o755), n3=database.array(entries))
        )

    unique = database.blob(bytes(20))
    about = database.object(
        n1=database.blob(NAME),
        n2=database.blob(version()),
        n3=unique,
        n4=database.blob(DESCRIPTION),
        n5=database.blob(architecture),
        n6=database.blob(LICENSE),
        n7=database.blob(NAME),
        n11=database.integer(EPOCH),
        n12=database.integer(sum(len(data) for _, _, data in files)),
        n15=database.array(database.object(n1=database.blob(name)) for name in DEPENDS),
    )
    known = ('export root="${IPKG_INSTROOT}"', f'export pkgname="{NAME}"')
    install = script("add_group_and_user\ndefault_postinst", *known)
    upgrade = script("add_group_and_user\ndefault_postinst", *known, "export PKG_UPGRADE=1")
    scripts = database.object(
        n3=database.blob(install), n4=database.blob(script("default_prerm", *known)), n7=database.blob(upgrade)
    )
    root = database.object(n1=about, n2=database.array(paths), n3=scripts)
    database.bytes[4:8] = struct.pack("<I", root)
    # An identifier for the package, made from all of the above.
    start = (unique & 0x0FFFFFFF) + 1
    database.bytes[start : start + 20] = hashlib.sha256(database.bytes).digest()[:20]

    body = b"ADB.pckg" + block(BLOCK_ADB, bytes(database.bytes))
    body += b"".join(block(BLOCK_DATA, data) for data in blocks)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"ADBd" + deflate.compress(body) + deflate.flush()


def block(kind, payload):
    size = 4 + len(payload)
    return struct.pack("<I", kind << 30 | size) + payload + bytes(-size % 8)


def main():
    architecture, program, sbom, directory = sys.argv[1:]
    files = contents(program, sbom)
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}_{version()}_{architecture}.ipk").write_bytes(ipk(architecture, files))
    # apk finds a package by name and version: the architectures need folders of their own.
    (folder / architecture).mkdir(exist_ok=True)
    (folder / architecture / f"{NAME}-{version()}.apk").write_bytes(apk(architecture, files))


main()
