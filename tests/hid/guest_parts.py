"""What the guest is made of: Debian's own kernel, a few of its modules, and busybox, unpacked and not installed.

They lie in the user's cache folder, under the kernel package's name and version, and are fetched again when Debian has
a newer one.
"""

from __future__ import annotations

import io
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

METAPACKAGE = "linux-image-amd64"
#: What the host's file system, the agent's line and the keys need, each before what needs it where they do not say so.
MODULES = (
    *("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"),
    *("hid_generic", "uhid", "usbhid", "libcomposite", "usb_f_hid", "dummy_hcd"),
)
#: How many USB devices can be plugged in at a time.
USB_PORTS = 3
_PARAMETERS = {"dummy_hcd": f"num={USB_PORTS}"}
_DOWNLOAD_S = 300

INIT = r"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
$b mkdir /dev/pts && $b mount -t devpts pts /dev/pts || fail mount pts
exec >/dev/console 2>&1 </dev/null
fail() { echo "guest: $*"; $b poweroff -f; }
while read module parameters; do $b insmod /modules/$module.ko $parameters || fail insmod $module; done </modules/order
$b mount -t configfs none /sys/kernel/config || fail mount configfs
$b mount -t 9p -o ro,cache=loose,trans=virtio,version=9p2000.L,msize=512000 host /lower || fail mount host
$b mount -t tmpfs -o size=50% tmpfs /rw && $b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work overlay /new || fail mount overlay
$b mount -t tmpfs tmpfs /new/run
for folder in proc sys dev; do $b mount --move /$folder /new/$folder; done
exec $b switch_root /new $agent
"""


class PartsMissingError(Exception):
    """Something that the guest is made of cannot be had here."""


@dataclass(frozen=True)
class Parts:
    """The unpacked files."""

    folder: Path

    @property
    def kernel(self) -> Path:
        """The kernel as an ELF file."""
        return self.folder / "vmlinux"

    def initramfs(self, agent: str) -> bytes:
        """The first file system, whose init mounts everything and becomes *agent*, a command for the shell."""
        modules = self.folder / "modules"
        return _cpio(
            [
                *((name, 0o40755, b"", 0) for name in ("bin", "modules", "proc", "sys", "dev", "lower", "rw", "new")),
                ("dev/console", 0o20600, b"", os.makedev(5, 1)),
                ("bin/busybox", 0o100755, (self.folder / "busybox").read_bytes(), 0),
                ("init", 0o100755, INIT.replace("$agent", agent).encode(), 0),
                *((f"modules/{path.name}", 0o100644, path.read_bytes(), 0) for path in modules.iterdir()),
            ]
        )


def parts() -> Parts:
    """The files, from the cache, or from Debian's archive when there is a newer kernel or none yet.

    Raises:
        PartsMissingError: This is no Debian on amd64, its package lists are missing, or the archive cannot be reached.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home) / "keyctl-guest"
    package, version = _kernel_package()
    picked = zlib.crc32(repr((MODULES, _PARAMETERS)).encode())
    folder = cache / f"{package}_{version.replace(':', '_')}_{picked:08x}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            _make(Path(made), package)
            for old in cache.glob("linux-image-*"):
                shutil.rmtree(old, ignore_errors=True)
            Path(made, "parts").rename(folder)
    return Parts(folder)


def _kernel_package() -> tuple[str, str]:
    """Name and version of the kernel package that Debian's metapackage stands for now."""
    shown = _output("apt-cache", "show", "--no-all-versions", METAPACKAGE)
    match = re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)", shown, re.MULTILINE)
    if match is None:
        raise PartsMissingError(f"apt does not know which kernel {METAPACKAGE} stands for; run apt-get update")
    return match[1], match[2]


def _make(folder: Path, package: str) -> None:
    # Without the option apt, run by root, warns that its own user may not write here.
    _output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, "busybox-static", cwd=folder)
    made = folder / "parts"
    made.mkdir()
    for archive in folder.glob("*.deb"):
        _output("dpkg-deb", "--extract", str(archive), str(folder / "unpacked"))
    unpacked = folder / "unpacked"
    (image,) = (unpacked / "boot").glob("vmlinuz-*")
    (made / "vmlinux").write_bytes(_elf(image.read_bytes()))
    shutil.copy(unpacked / "bin" / "busybox", made / "busybox")
    _pick_modules(unpacked / "lib" / "modules", made / "modules")


def _output(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PartsMissingError(str(error)) from error
    if done.returncode:
        raise PartsMissingError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _elf(image: bytes) -> bytes:
    """The kernel inside a bzImage: the guest's slow processor would take seconds to unpack it."""
    setup_bytes = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup_bytes + offset :][:length]
    if payload.startswith(b"\xfd7zXZ\0"):
        kernel = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x1f\x8b"):
        kernel = zlib.decompressobj(31).decompress(payload)
    else:
        raise PartsMissingError(f"the kernel is compressed in an unknown way: {payload[:6].hex()}")
    if not kernel.startswith(b"\x7fELF"):
        raise PartsMissingError("the kernel is no ELF file")
    return kernel


def _pick_modules(installed: Path, to: Path) -> None:
    """Copy :data:`MODULES` and what they need, and note in which order they are loaded."""
    paths = {path.name.partition(".ko")[0].replace("-", "_"): path for path in installed.rglob("*.ko*")}
    order: list[str] = []
    to.mkdir()

    def add(name: str) -> None:
        if name in order:
            return
        if name not in paths:
            raise PartsMissingError(f"this kernel has no module {name}")
        content = paths[name].read_bytes()
        if paths[name].suffix == ".xz":
            content = lzma.decompress(content)
        _, _, rest = content.partition(b"\0depends=")
        for needed in filter(None, rest.partition(b"\0")[0].decode().split(",")):
            add(needed.replace("-", "_"))
        (to / f"{name}.ko").write_bytes(content)
        order.append(name)

    for name in MODULES:
        add(name)
    lines = [f"{name} {_PARAMETERS.get(name, '')}\n" for name in order]
    (to / "order").write_text("".join(lines))


def _cpio(entries: list[tuple[str, int, bytes, int]]) -> bytes:
    """An archive as the kernel takes it (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    archive = io.BytesIO()
    for number, (name, mode, content, device) in enumerate([*entries, ("TRAILER!!!", 0, b"", 0)], 1):
        path = name.encode() + b"\0"
        major, minor = os.major(device), os.minor(device)
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(path), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        archive.write(header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4))
    return archive.getvalue()
