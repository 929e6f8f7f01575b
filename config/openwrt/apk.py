"""Packages and index for apk, OpenWrt's package manager from 25.12, in its format 3: apk-tools' apk-v3(5).

A database ("ADB") of tagged words that point backwards into the block they are in. Slots are numbered from 1, and the first word
of a container counts its slots and itself. What is installed is none of its business: see package.py.
"""

import hashlib
import pathlib
import struct
import zlib

INT, INT32, INT64 = 0x1 << 28, 0x2 << 28, 0x3 << 28
BLOB8, BLOB16, BLOB32 = 0x8 << 28, 0x9 << 28, 0xA << 28
ARRAY, OBJECT = 0xD << 28, 0xE << 28
BLOCK_ADB, BLOCK_SIGNATURE, BLOCK_DATA = 0, 1, 2


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

    def root(self, value):
        self.bytes[4:8] = struct.pack("<I", value)

    def access(self, mode):
        return self.object(n1=self.integer(mode), n2=self.blob("root"), n3=self.blob("root"))


def block(kind, payload):
    size = 4 + len(payload)
    return struct.pack("<I", kind << 30 | size) + payload + bytes(-size % 8)


def deflated(body):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"ADBd" + deflate.compress(body) + deflate.flush()


def inflated(packed):
    if packed[:4] != b"ADBd":
        raise ValueError("not a compressed ADB")
    return zlib.decompress(packed[4:], -zlib.MAX_WBITS)


def about(database, package, identity, size=0):
    """The object that says what a package is. An index has the same, with the package's identity and length."""
    return database.object(
        n1=database.blob(package.name),
        n2=database.blob(package.version_of_apk()),
        n3=identity,
        n4=database.blob(package.description),
        n5=database.blob("noarch" if package.architecture == "all" else package.architecture),
        n6=database.blob(package.license),
        n7=database.blob(package.name),
        n11=database.integer(package.epoch),
        n12=database.integer(sum(len(data) for _, _, data in package.files + own_files(package))),
        n13=database.integer(size) if size else 0,
        n15=database.array(database.object(n1=database.blob(name)) for name in sorted(package.depends)),
    )


def own_files(package):
    """What OpenWrt's functions look for: which files there are, which are the operator's, and which user to make."""
    base = f"lib/apk/packages/{package.name}"
    data = {path: data for path, _, data in package.files}
    found = {".list": "".join(f"/{path}\n" for path in data)}
    if package.conffiles:
        digests = [(path, hashlib.sha256(data[path]).hexdigest()) for path in package.conffiles]
        found[".conffiles"] = "".join(f"/{path}\n" for path, _ in digests)
        found[".conffiles_static"] = "".join(f"/{path} {digest}\n" for path, digest in digests)
    if package.user:
        found[".rusers"] = f"{package.user}\n"
    return [(base + end, 0o644, text.encode()) for end, text in found.items()]


def write(package):
    """The bytes of an .apk, and what an index knows it by: the digest of its database."""
    database = Database()
    folders = {}
    for folder in package.folders:
        for path in [folder, *map(str, list(pathlib.PurePosixPath(folder).parents)[:-1])]:
            folders.setdefault(path, [])
    for path, mode, data in sorted(package.files + own_files(package)):
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
                    n4=database.integer(package.epoch),
                    n5=database.blob(hashlib.sha256(data).digest()),
                )
            )
            blocks.append(struct.pack("<II", path_index, file_index) + data)
        paths.append(database.object(n1=database.blob(folder), n2=database.access(0o755), n3=database.array(entries)))

    unique = database.blob(bytes(20))
    info = about(database, package, unique)
    known = ['export root="${IPKG_INSTROOT}"', f'export pkgname="{package.name}"']
    upgrade = [*known, "export PKG_UPGRADE=1"]
    install = "add_group_and_user\ndefault_postinst"
    scripts = database.object(
        n3=database.blob(package.script(install, package.installed, known)),
        n4=database.blob(package.script("default_prerm", exports=known)),
        n7=database.blob(package.script(install, package.installed, upgrade)),
    )
    database.root(database.object(n1=info, n2=database.array(paths), n3=scripts))
    # An identifier for the package, made from all of the above.
    start = (unique & 0x0FFFFFFF) + 1
    database.bytes[start : start + 20] = hashlib.sha256(database.bytes).digest()[:20]

    body = b"ADB.pckg" + block(BLOCK_ADB, bytes(database.bytes))
    body += b"".join(block(BLOCK_DATA, data) for data in blocks)
    return deflated(body), hashlib.sha256(database.bytes).digest()


def write_index(folder, packages):
    """packages.adb for (package, identity, length of the .apk) in the order of their names."""
    database = Database()
    listed = [about(database, package, database.blob(identity), size) for package, identity, size in packages]
    database.root(database.object(n1=database.blob("Sixfold"), n2=database.array(listed)))
    (folder / "packages.adb").write_bytes(deflated(b"ADB.indx" + block(BLOCK_ADB, bytes(database.bytes))))
