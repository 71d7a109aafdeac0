"""Ways out of a jail, as somebody would try them who knows what is outside.

Each is the body of a function that returns something true if it got what it wanted; an error is a
no.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from drivers.sandbox.seccomp import BARRED

_ERRORS = (
    "(OSError, ValueError, LookupError, ImportError, __import__('subprocess').SubprocessError)"
)

_FRAME = """
import ctypes, fcntl, os, resource, signal, socket, stat, subprocess, time
libc = ctypes.CDLL(None, use_errno=True)
def done(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "no")
    return result == 0 or result
def syscall(name, *args):
    libc.syscall.restype = ctypes.c_long
    return done(libc.syscall(ctypes.c_long(NUMBERS[name]), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args]))
def said(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=30, **more).stdout
def read(path):
    with open(path, "rb") as file:
        return file.read(100)
def write(path, text="x", mode="w"):
    with open(path, mode) as file:
        return file.write(text)
def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as line:
        line.settimeout(2)
        line.connect(address)
        return line.send(b"x")
def attempt():
"""

_END = f"""
try:
    got = attempt()
except {_ERRORS} as error:
    print("held:", error)
else:
    print("ESCAPED" if got else "held", repr(got))
"""


_OWN = {
    "write to the machine's /tmp", "read the machine's /tmp", "any other device",
    "a descriptor that was left open", "see others", "secrets in the environment",
    "settings of the loader", "clone3 into namespaces",
}  # fmt: skip
_PROCESSES = {
    "kill an outsider", "stop an outsider", "kill the driver", "kill all", "kill a group",
    "stop its parent", "hold an outsider", "slow an outsider down",
}  # fmt: skip
_RIGHTS = {
    "go before others", "real time", "more processes", "longer files", "be root",
    "be in root's group", "all capabilities", "su", "a setuid program of its own",
}  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """``seen``: what the result must say was denied."""

    name: str
    body: str
    seen: str = ""

    @property
    def kind(self) -> str:
        """Of what must be told of it for the audit log; "" if nothing was refused it (it found a
        place of its own, with nothing in it), or nobody can see that."""
        if self.name in _OWN:
            return ""
        if self.seen:
            return "call"
        kinds = {"process": _PROCESSES, "right": _RIGHTS}
        return next((kind for kind, names in kinds.items() if self.name in names), "file")

    def code(self, names: dict[str, Any]) -> str:
        column = int(os.uname().machine == "aarch64")
        numbers = {name: both[column] for name, both in BARRED.items()}
        numbers |= {"clone": (56, 220)[column], "clone3": 435}
        known = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        body = "\n".join(f"    {line}" for line in self.body.strip().splitlines())
        return f"{known}NUMBERS = {numbers}\n{_FRAME}{body}\n{_END}"


FILES = [
    Attempt("read the user's key", "return read(KEY)"),
    Attempt("read the database", "return read(DB)"),
    Attempt("read by going up", "return read('/work/../../../../..' + KEY)"),
    Attempt("read another process's folder", "return read(OTHER)"),
    Attempt("go up to another process's folder", "return read('../8/diary') or read('/8/diary')"),
    Attempt("list the home", "return os.listdir(HOME)"),
    Attempt("list homes of users", "return os.listdir('/root') or os.listdir('/home')"),
    Attempt("a symlink out", "os.symlink(KEY, 'link'); return read('link')"),
    Attempt("a symlink to above the root", "os.symlink('/../..', 'up'); return read('up' + KEY)"),
    Attempt("a hard link out", "os.link(KEY, 'hard'); return read('hard')"),
    Attempt("a hard link to a system file", "os.link('/usr/bin/env', 'hard2'); return True"),
    Attempt("the driver's root", "return read(f'/proc/{DRIVER}/root{KEY}')"),
    Attempt("the driver's folder", "return os.listdir(f'/proc/{DRIVER}/cwd')"),
    Attempt("the warden's root", "return os.listdir('/proc/1/root')"),
    Attempt("the warden's environment", "return read('/proc/1/environ')"),
    Attempt("the warden's descriptors", "return os.listdir('/proc/1/fd')"),
    Attempt("the warden's memory", "return read('/proc/1/mem')"),
    Attempt("its own root", "return read('/proc/self/root' + KEY)"),
    Attempt("write to its own program", "return os.open('/proc/self/exe', os.O_WRONLY)"),
    Attempt("write its own user map", "return write('/proc/self/uid_map', '0 0 1')"),
    Attempt("spare itself from being killed", "return write('/proc/self/oom_score_adj', '-1000')"),
    Attempt("set what runs on a crash", "return write('/proc/sys/kernel/core_pattern', '|/work/x')"),
    Attempt("change a setting of memory", "return write('/proc/sys/vm/overcommit_memory', '1')"),
    Attempt("the magic key", "return write('/proc/sysrq-trigger', 'h')"),
    Attempt("the kernel's memory", "return read('/proc/kcore') or read('/proc/kallsyms')"),
    Attempt("write outside", "return write(OUTSIDE + '/x')"),
    Attempt("write to /usr", "return write('/usr/escaped')"),
    Attempt("write to /etc", "return write('/etc/passwd', 'x', 'a')"),
    Attempt("write to the root", "return write('/escaped')"),
    Attempt("write to /dev", "return write('/dev/escaped')"),
    Attempt("write to the machine's /tmp", "write('/tmp/llmos-escaped')"),
    Attempt("read the machine's /tmp", "return os.listdir('/tmp')"),
    Attempt("make a device of memory", "os.mknod('m', 0o600 | stat.S_IFCHR, os.makedev(1, 1)); return 1"),
    Attempt("make a disk", "os.mknod('d', 0o600 | stat.S_IFBLK, os.makedev(254, 0)); return True"),
    Attempt("open memory", "return os.open('/dev/mem', os.O_RDWR)"),
    Attempt(
        "any other device",
        "return set(os.listdir('/dev')) - {'null', 'zero', 'full', 'random', 'urandom', 'fd', "
        "'shm', 'stdin', 'stdout', 'stderr'}",
    ),
    Attempt("a terminal", "return os.open('/dev/tty', os.O_RDWR) or os.openpty()"),
    Attempt("write to /sys", "return write('/sys/kernel/mm/transparent_hugepage/enabled', 'never')"),
    Attempt("write to a control group", "return os.mkdir('/sys/fs/cgroup/escaped') or True"),
    Attempt("chroot", "os.mkdir('c'); os.chroot('c'); return True", "chroot"),
    Attempt(
        "a descriptor that was left open",
        "import errno\n"
        "for number in range(3, 1024):\n"
        "    try:\n"
        "        return os.fstat(number)\n"
        "    except OSError as error:\n"
        "        assert error.errno == errno.EBADF",
    ),
    Attempt(
        "a file by its handle",
        "return syscall('open_by_handle_at', 0, ctypes.create_string_buffer(64), 0)",
        "open_by_handle_at",
    ),
]  # fmt: skip

MOUNTS = [
    Attempt("mount", "return done(libc.mount(b'x', b'/work', b'tmpfs', 0, None))", "mount"),
    Attempt("mount proc", "return done(libc.mount(b'x', b'/work', b'proc', 0, None))", "mount"),
    Attempt("make the root writable", "return done(libc.mount(b'x', b'/', None, 32, None))", "mount"),
    Attempt("unmount", "return done(libc.umount2(b'/work', 2))", "umount2"),
    Attempt("pivot", "return syscall('pivot_root', b'.', b'.')", "pivot_root"),
    Attempt("open a tree", "return syscall('open_tree', -100, b'/', 1)", "open_tree"),
    Attempt("another user namespace", "return done(libc.unshare(0x10000000))", "unshare"),
    Attempt("unshare and mount", "return said('unshare', '-Urm', 'mount', '-t', 'tmpfs', 'x', '/work') or said('unshare', '-Ur', 'id', '-u')", "unshare"),
    Attempt("clone into namespaces", "return syscall('clone', 0x10000011, 0, 0, 0, 0)", "clone(new namespaces)"),
    Attempt("clone3 into namespaces", "return syscall('clone3', ctypes.create_string_buffer((0x10000000).to_bytes(8, 'little') + bytes(56)), 64)"),
    Attempt("join a namespace", "return done(libc.setns(os.open('/proc/self/ns/user', os.O_RDONLY), 0))", "setns"),
    Attempt("the driver's namespaces", "return os.readlink(f'/proc/{DRIVER}/ns/net')"),
]  # fmt: skip

PROCESSES = [
    Attempt("kill an outsider", "os.kill(VICTIM, signal.SIGKILL); return True"),
    Attempt("stop an outsider", "os.kill(VICTIM, signal.SIGSTOP); return True"),
    Attempt("kill the driver", "os.kill(DRIVER, signal.SIGTERM); return True"),
    Attempt("kill all", "os.kill(-1, signal.SIGKILL); return True"),
    Attempt("kill a group", "os.killpg(0, signal.SIGCONT); os.killpg(1, signal.SIGKILL); return True"),
    Attempt("stop its parent", "os.kill(os.getppid(), signal.SIGSTOP); return True"),
    Attempt("hold an outsider", "return os.pidfd_open(VICTIM)"),
    Attempt("trace an outsider", "return done(libc.ptrace(16, VICTIM, 0, 0))", "ptrace"),
    Attempt("trace the warden", "return done(libc.ptrace(16, 1, 0, 0))", "ptrace"),
    Attempt("read an outsider's memory", "return syscall('process_vm_readv', VICTIM, 0, 0, 0, 0, 0)", "process_vm_readv"),
    Attempt("see others", "return [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]"),
    Attempt("slow an outsider down", "os.setpriority(os.PRIO_PROCESS, VICTIM, 19); return True"),
    Attempt("go before others", "os.nice(-10); return True"),
    Attempt("real time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); return True"),
    Attempt("more processes", "resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6)); return True"),
    Attempt("longer files", "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1)); return True"),
    Attempt("be root", "os.setuid(0); return True"),
    Attempt("be in root's group", "os.setgroups([0]); return True"),
    Attempt("all capabilities", "return done(libc.capset((0x20080522).to_bytes(4, 'little') + bytes(4), bytes([255]) * 24))"),
    Attempt("su", "return '0' in said('su', '-c', 'id -u', stdin=subprocess.DEVNULL)"),
    Attempt("a setuid program of the system", "return '1' in said('sh', '-c', 'mount -t tmpfs x /work && echo 1')", "mount"),
    Attempt("a setuid program of its own", "said('cp', '/bin/sh', 'own'); os.chmod('own', 0o6755); return said('./own', '-pc', 'id -u') != '1000\\n'"),
    Attempt("secrets in the environment", "return SECRET in str(os.environ) or SECRET.encode() in open('/proc/self/environ', 'rb').read()"),
    Attempt("settings of the loader", "return [name for name in os.environ if name.startswith(('LD_', 'PYTHON', 'LLMOS'))]"),
    Attempt("keys of the kernel", "return syscall('keyctl', 0, -3, 1)", "keyctl"),
]  # fmt: skip

NETWORK = [
    Attempt("TCP to a listener", "return connect(socket.AF_INET, ('127.0.0.1', TCP))", "socket(AF_INET)"),
    Attempt("TCP over IPv6", "return connect(socket.AF_INET6, ('::1', TCP))", "socket(AF_INET6)"),
    Attempt("UDP", "return connect(socket.AF_INET, ('127.0.0.1', UDP), socket.SOCK_DGRAM)", "socket(AF_INET)"),
    Attempt("the world", "return connect(socket.AF_INET, ('1.1.1.1', 53))", "socket(AF_INET)"),
    Attempt("raw", "return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)", "socket(AF_INET)"),
    Attempt("ping", "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)", "socket(AF_INET)"),
    Attempt("frames", "return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "socket(AF_PACKET)"),
    Attempt("DNS", "return socket.getaddrinfo('example.com', 80)", "socket(AF_INET)"),
    Attempt("netlink", "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", "socket(AF_NETLINK)"),
    Attempt("the host of a virtual machine", "return connect(socket.AF_VSOCK, (2, 1024))", "socket(AF_VSOCK)"),
    Attempt("the kernel's ciphers", "return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)", "socket(38)"),
    Attempt("bash", "return said('bash', '-c', f'echo x >/dev/tcp/127.0.0.1/{TCP} && echo 1')", "socket(AF_INET)"),
    Attempt("the kernel's door", "return connect(socket.AF_UNIX, SOCKET)"),
    Attempt("the door by another way", "return connect(socket.AF_UNIX, f'/proc/{DRIVER}/root{SOCKET}')"),
    Attempt("an abstract socket", "return connect(socket.AF_UNIX, chr(0) + ABSTRACT)"),
]  # fmt: skip

MACHINE = [
    Attempt("who uses the system's files", "return done(libc.inotify_add_watch(libc.inotify_init(), b'/usr/bin', 32))", "inotify_add_watch"),
    Attempt("who uses them, the old way", "return fcntl.fcntl(os.open('/usr/bin', os.O_RDONLY), 1026, 32) or 1", "fcntl(F_NOTIFY)"),
    Attempt("the host's name", "socket.sethostname('escaped'); return True", "sethostname"),
    Attempt("the clock", "time.clock_settime(time.CLOCK_REALTIME, 0); return True", "clock_settime"),
    Attempt("the kernel's log", "return syscall('syslog', 3, ctypes.create_string_buffer(100), 100)", "syslog"),
    Attempt("letters for a terminal", "fcntl.ioctl(0, 0x5412, b'x'); return True", "ioctl(TIOCSTI)"),
    Attempt("memory that is in no process", "return os.memfd_create('x')", "memfd_create"),
    Attempt("a ring", "return syscall('io_uring_setup', 1, ctypes.create_string_buffer(120))", "io_uring_setup"),
    Attempt("a program for the kernel", "return syscall('bpf', 0, ctypes.create_string_buffer(120), 120)", "bpf"),
    Attempt("a module", "return syscall('init_module', b'', 0, b'')", "init_module"),
    Attempt("events of the processor", "return syscall('perf_event_open', ctypes.create_string_buffer(120), 0, -1, -1, 0)", "perf_event_open"),
]  # fmt: skip

ATTEMPTS = [*FILES, *MOUNTS, *PROCESSES, *NETWORK, *MACHINE]
