"""Packages and index for opkg, OpenWrt's package manager up to 24.10.

An .ipk is a gzipped tar of a control archive and a data archive. An index ("Packages") is what the control files say, with the
name, length and digest of each package. What is installed is none of its business: see package.py.
"""

import gzip
import hashlib
import io
import pathlib
import tarfile


def tar_gz(entries, epoch, folders=()):
    """A gzipped tar with the folders of its files and some more, all of them root's and of one time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        made = set()
        for path, mode, data in sorted([*entries, *((folder, 0o755, None) for folder in folders)]):
            parents = [str(parent) for parent in pathlib.PurePosixPath(path).parents][::-1]
            for parent in parents + [path] * (data is None):
                if parent not in made:
                    made.add(parent)
                    archive.addfile(entry("./" + parent.lstrip("."), 0o755, tarfile.DIRTYPE, epoch))
            if data is not None:
                archive.addfile(entry("./" + path, mode, tarfile.REGTYPE, epoch, len(data)), io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=epoch, filename="") as stream:
        stream.write(raw.getvalue())
    return packed.getvalue()


def entry(name, mode, kind, epoch, size=0):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.mtime = mode, kind, size, epoch
    info.uname = info.gname = "root"
    return info


def fields(package):
    """What the control file says, in its order."""
    found = {
        "Package": package.name,
        "Version": package.version,
        "Depends": ", ".join(package.depends),
        "License": package.license,
        "Section": package.section,
        "Require-User": package.user,
        "Architecture": package.architecture,
        "Installed-Size": str(package.size()),
        "Description": package.description,
    }
    return {key: value for key, value in found.items() if value}


def lines(found):
    return "".join(f"{key}: {value}\n" for key, value in found.items())


def write(package):
    """The bytes of an .ipk."""
    control = [
        ("control", 0o644, lines(fields(package)).encode()),
        ("postinst", 0o755, package.script("default_postinst $0 $@", package.installed)),
        ("prerm", 0o755, package.script("default_prerm $0 $@")),
    ]
    if package.conffiles:
        control.insert(0, ("conffiles", 0o644, "".join(f"/{path}\n" for path in package.conffiles).encode()))
    return tar_gz(
        [
            ("debian-binary", 0o644, b"2.0\n"),
            ("data.tar.gz", 0o644, tar_gz(package.files, package.epoch, package.folders)),
            ("control.tar.gz", 0o644, tar_gz(control, package.epoch)),
        ],
        package.epoch,
    )


def index(packages):
    """The bytes of Packages, for (package, name of the .ipk, bytes of the .ipk) in the order of their names."""
    stanzas = []
    for package, name, data in packages:
        found = fields(package)
        # opkg takes this one from the package itself.
        found.pop("Require-User", None)
        description = found.pop("Description")
        found |= {"Filename": name, "Size": str(len(data)), "SHA256sum": hashlib.sha256(data).hexdigest()}
        stanzas.append(lines(found | {"Description": description}))
    text = "\n".join(stanzas).encode() + b"\n"
    # usign of older routers digests messages of these lengths wrongly, and would refuse a good signature.
    if (64 + len(text)) % 128 in (110, 111):
        text += b"\n\n"
    return text


def write_index(folder, packages):
    """Packages, as signatures are made of it, and Packages.gz, as routers ask for it."""
    text = index(packages)
    (folder / "Packages").write_bytes(text)
    (folder / "Packages.gz").write_bytes(gzip.compress(text, mtime=packages[0][0].epoch))
    # It was of another index.
    pathlib.Path(folder / "Packages.sig").unlink(missing_ok=True)
