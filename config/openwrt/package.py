#!/usr/bin/env python3
"""Writes the OpenWrt packages of a static sixfold-relay and of its LuCI pages, for opkg (23.05 and 24.10) and for apk (25.12 and
after), with the indices that make a feed of their folder, DIRECTORY/ARCHITECTURE.

    package.py ARCHITECTURE PROGRAM SBOM NOTICES DIRECTORY

No SDK is needed. The same input makes the same bytes; times are SOURCE_DATE_EPOCH, and SNAPSHOT is what scripts/snapshot prints.
sign.py signs the indices.
"""

import dataclasses
import os
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import apk
import ipk

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FILES = HERE / "sixfold" / "files"
LUCI = HERE / "luci-app-sixfold"


@dataclasses.dataclass
class Package:
    name: str
    description: str
    # As opkg names it: "all" runs anywhere.
    architecture: str
    section: str
    depends: list
    # (path, mode, bytes) of everything that is installed, in the order of their paths.
    files: list
    # Folders that are there even though nothing is in them.
    folders: list = dataclasses.field(default_factory=list)
    # Those of the files that are the operator's.
    conffiles: list = dataclasses.field(default_factory=list)
    # Who is made before it starts.
    user: str = ""
    # What happens after installing, apart from what happens always.
    installed: str = ""
    # As opkg and Debian write it: what ~ begins is before the release.
    version: str = ""
    license: str = "MIT OR Apache-2.0"
    epoch: int = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))

    def size(self):
        return sum(len(data) for _, _, data in self.files)

    def version_of_apk(self):
        """The same, where a word says what is before the release, and what after it."""
        return re.sub("[~+]", "_", self.version).replace("_rc.", "_rc")

    def script(self, action, then="", exports=()):
        """What OpenWrt's own packages run: its functions make the user, and enable and start the service, or stop it."""
        lines = [
            "#!/bin/sh",
            '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0',
            "[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0",
            ". ${IPKG_INSTROOT}/lib/functions.sh",
            *exports,
            action,
            *filter(None, [then]),
        ]
        return ("\n".join(lines) + "\n").encode()


def version():
    """That of the workspace, and which commit since or before."""
    text = (ROOT / "Cargo.toml").read_text()
    released = re.search(r'^version = "([^"]+)"$', text, re.M).group(1).replace("-", "~")
    return released + os.environ.get("SNAPSHOT", "") + "-r1"


def relay(architecture, program, sbom, notices):
    files = [
        ("usr/bin/sixfold-relay", 0o755, pathlib.Path(program)),
        ("etc/config/sixfold", 0o600, FILES / "sixfold.config"),
        ("etc/init.d/sixfold", 0o755, FILES / "sixfold.init"),
        ("etc/capabilities/sixfold.json", 0o644, FILES / "sixfold.capabilities.json"),
        ("etc/uci-defaults/60-sixfold", 0o755, FILES / "sixfold.defaults"),
        ("etc/sysctl.d/10-sixfold.conf", 0o644, ROOT / "config/systemd/sixfold.sysctl"),
        ("lib/upgrade/keep.d/sixfold", 0o644, FILES / "sixfold.keep"),
        # What every licence asks for that is in the program: there is no other place for it on a router.
        ("usr/share/sixfold/notices.gz", 0o644, pathlib.Path(notices)),
        ("usr/share/sixfold/relay.toml", 0o644, ROOT / "config/relay.toml"),
        ("usr/share/sixfold/sbom.cdx.json", 0o644, pathlib.Path(sbom)),
    ]
    return Package(
        name="sixfold",
        description="Firmware updates for devices behind a 6LoWPAN border router: a caching CoAP-to-HTTPS proxy",
        architecture=architecture,
        section="net",
        # Without ujail procd would not start what has to be in a jail.
        depends=["ca-bundle", "procd-ujail"],
        files=sorted((path, mode, source.read_bytes()) for path, mode, source in files),
        folders=["etc/sixfold"],
        conffiles=["etc/config/sixfold"],
        user="sixfold:sixfold",
    )


def pages():
    """Nothing is compiled into it and all of it is ours: there is no bill of materials."""
    places = {LUCI / "htdocs": "www/", LUCI / "root": ""}
    files = [
        (place + str(path.relative_to(folder)), 0o644, path.read_bytes())
        for folder, place in places.items()
        for path in folder.rglob("*")
        if path.is_file()
    ]
    return Package(
        name="luci-app-sixfold",
        description="Sixfold in LuCI: its configuration and its status",
        architecture="all",
        section="luci",
        depends=["luci-base", "sixfold"],
        files=sorted(files),
        # LuCI keeps its menu, and rpcd what may be called, until they are told.
        installed='[ -n "${IPKG_INSTROOT}" ] || { rm -rf /tmp/luci-indexcache* /tmp/luci-modulecache; /etc/init.d/rpcd reload; }',
    )


def main():
    architecture, program, sbom, notices, directory = sys.argv[1:]
    folder = pathlib.Path(directory) / architecture
    folder.mkdir(parents=True, exist_ok=True)
    # Of another version: a feed has what its indices name.
    for old in [*folder.glob("*.ipk"), *folder.glob("*.apk")]:
        old.unlink()
    indexed, known = [], []
    for package in [pages(), relay(architecture, program, sbom, notices)]:
        package.version = version()
        name, data = f"{package.name}_{package.version}_{package.architecture}.ipk", ipk.write(package)
        (folder / name).write_bytes(data)
        indexed.append((package, name, data))
        data, identity = apk.write(package)
        # The name is what apk makes of the index.
        (folder / f"{package.name}-{package.version_of_apk()}.apk").write_bytes(data)
        known.append((package, identity, len(data)))
    ipk.write_index(folder, indexed)
    apk.write_index(folder, known)


main()
