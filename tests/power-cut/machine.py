"""A virtual machine that runs `mns-endpoint` on a disk of its own; killing it cuts its power."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from pushes import CERTIFICATE, CERTIFICATE_PLACE, get

PORT = 8080
BOOT_WITHIN_S = 120
COMMAND_WITHIN_S = 120
TOOL_WITHIN_S = 120
KERNEL_PACKAGE = "linux-image-cloud-amd64"
# Each needs those before it.
MODULES = (
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
    "virtio_blk", "failover", "net_failover", "virtio_net",
)
# The kernel hands over what is behind "--" in its command line: the arguments of mns-endpoint.
# Nothing is synced or unmounted behind it: power is cut also after a command that has ended.
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in %(modules)s; do insmod /modules/$module.ko; done
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
route add default gw 10.0.2.2
mount -t ext4 /dev/vda /disk
export TZ=UTC MNS_ENDPOINT_ADMIN__LISTEN=off
cd /work
/mns-endpoint "$@"
echo "power-cut: ended with $?"
sleep 3600
"""


class Broken(Exception):
    """The machine or a tool does not do its part: nothing is said about the program."""


def tool(*command, codes=(0,), cwd=None):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            command, env={**os.environ, "PATH": path, "LC_ALL": "C"}, cwd=cwd,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=TOOL_WITHIN_S, check=False,
        )
    except FileNotFoundError as error:
        raise Broken(f"{command[0]} is not installed ({error}); see --help") from error
    except subprocess.TimeoutExpired as error:
        raise Broken(f"{command[0]} took more than {TOOL_WITHIN_S} s") from error
    if done.returncode not in codes:
        line = " ".join(map(str, command))
        raise Broken(f"{line}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def kernel(directory):
    """The unpacked kernel package; downloaded once, never installed."""
    unpacked = directory / "kernel"
    if not list(unpacked.glob("boot/vmlinuz-*")):
        depends = tool("apt-cache", "depends", KERNEL_PACKAGE).stdout
        found = re.search(r"Depends: (linux-image-\S+)", depends)
        if not found:
            raise Broken(f"apt-get knows no {KERNEL_PACKAGE}: run apt-get update")
        tool("apt-get", "download", "-qq", found[1], cwd=directory)
        package = next(directory.glob("linux-image-*.deb"))
        tool("dpkg-deb", "-x", package, unpacked)
        package.unlink()
    return unpacked


class Archive:
    """An initramfs: a cpio archive in the form "newc"."""

    def __init__(self):
        self.parts, self.folders, self.count = [], set(), 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        for parent in list(Path(name).parents)[-2::-1]:
            self.folder(str(parent))
        self.write(name, mode, data, device)

    def folder(self, name):
        if name not in self.folders:
            self.folders.add(name)
            self.write(name, 0o40755, b"", (0, 0))

    def write(self, name, mode, data, device):
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        for part in (head, data):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def finish(self):
        self.write("TRAILER!!!", 0, b"", (0, 0))
        return b"".join(self.parts)


def initramfs(program, unpacked):
    archive = Archive()
    for folder in ("dev", "proc", "sys", "disk", "work", "tmp"):
        archive.folder(folder)
    archive.add("dev/console", 0o20600, device=(5, 1))
    archive.add("init", 0o100755, (INIT % {"modules": " ".join(MODULES)}).encode())
    busybox = shutil.which("busybox")
    if busybox is None:
        raise Broken("busybox is not installed; see --help")
    archive.add("bin/busybox", 0o100755, Path(busybox).read_bytes())
    archive.add("mns-endpoint", 0o100755, program.read_bytes())
    archive.add(f"work/{CERTIFICATE_PLACE}", 0o100644, CERTIFICATE.read_bytes())
    # A static program has none; then ldd ends with 1.
    printed = "".join(tool("ldd", path, codes=(0, 1)).stdout for path in (program, busybox))
    for path in sorted(set(re.findall(r"(?:=> |^\s*)(/\S+) \(", printed, re.MULTILINE))):
        archive.add(path.lstrip("/"), 0o100755, Path(path).read_bytes())
    for module in MODULES:
        found = next(unpacked.rglob(f"{module}.ko"), None)
        if found is None:
            raise Broken(f"{unpacked} has no module {module}")
        archive.add(f"modules/{module}.ko", 0o100644, found.read_bytes())
    return archive.finish()


class Image:
    """A disk with ext4, as a file. `check` and `dump` are for a disk whose machine is gone."""

    BYTES = 3 << 30

    def __init__(self, path):
        self.path = path
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            file.truncate(self.BYTES)
        tool("mke2fs", "-q", "-t", "ext4", "-E", "assume_storage_prezeroed=1", path)

    def copy(self, path):
        tool("cp", "--sparse=always", self.path, path)
        return path

    @staticmethod
    def check(path):
        """Replays the journal of ext4 as a mount does; afterwards nothing may be wrong."""
        # 1: corrected. With -p only what is safe is corrected, which is what a mount would do.
        replayed = tool("e2fsck", "-f", "-p", path, codes=range(256))
        checked = tool("e2fsck", "-f", "-n", path, codes=range(256))
        if replayed.returncode > 1 or checked.returncode != 0:
            return replayed.stdout + replayed.stderr + checked.stdout + checked.stderr
        return None

    @staticmethod
    def dump(path, target):
        """Copies the logs out of the image."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        tool("debugfs", "-R", f"rdump /logs {target}", path)
        return target / "logs"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Machine:
    """Runs `mns-endpoint ARGUMENTS` on the image until it is cut."""

    def __init__(self, files, image, console, arguments):
        self.port, self.console = free_port(), console
        console.write_bytes(b"")
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "768",
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{console}",
            "-kernel", files.vmlinuz, "-initrd", files.initramfs,
            "-append", f"console=ttyS0 quiet panic=-1 -- {' '.join(arguments)}",
            "-drive", f"file={image},if=none,id=disk,format=raw,cache=writeback",
            "-device", "virtio-blk-pci,drive=disk",
            # The machine reaches nothing outside.
            "-netdev",
            f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:{PORT}",
            "-device", "virtio-net-pci,netdev=net,romfile=",
        ]
        self.complaints = console.with_suffix(".qemu")
        with open(self.complaints, "wb") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def cut(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)

    def wait(self, what, check, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = check()
            if found is not None:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise Broken(f"not within {seconds} s: {what}\n{self.last_words()}")

    def wait_until_healthy(self):
        def check():
            if (code := self.ended()) is not None:
                raise Broken(f"serve ended with {code}\n{self.last_words()}")
            return True if get(self.port, "/healthz") == 200 else None

        self.wait("serve is healthy", check, BOOT_WITHIN_S)

    def wait_until_ended(self):
        """The exit code of a command that ends by itself."""
        return self.wait("the command ends", self.ended, BOOT_WITHIN_S + COMMAND_WITHIN_S)

    def ended(self):
        found = re.search(rb"power-cut: ended with (\d+)\r?\n", self.console.read_bytes())
        return int(found[1]) if found else None

    def last_words(self):
        files = (self.complaints, self.console)
        return "".join(file.read_text(errors="replace")[-4000:] for file in files)
