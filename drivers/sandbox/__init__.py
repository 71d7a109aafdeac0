"""The sandbox: a tool driver whose tools run commands of agents, shut in.

In the driver: ``tools`` offers them, ``folders`` keeps each process's working folder, ``runs``
starts one jail for each call, ``probe`` says whether this machine can hold one. In the jail, a
program of its own that has nothing but the standard library: ``jail`` shuts itself in step by step
(``namespaces``, ``view``, ``landlock``, ``seccomp``, ``limits``) and ``warden`` watches what runs
there.

**What is held.** A command runs as nobody, without capabilities and without a way to get any, in
user, mount, pid, network, IPC, UTS and cgroup namespaces of its own. Its file system is one that is
made for it: the system's programs, read-only; ``/work``, its process's own folder; an empty
``/tmp``; five harmless devices. There is no network of any kind, no process but its own, no
variable of the driver's environment, no descriptor but its three. Landlock holds the same once
more, seccomp takes away the calls by which a kernel is attacked. Time, memory, processes, files and
output have limits; when the call ends, by itself or not, all that it started is killed.

**What is seen.** ``denied`` in a result names what the jail itself refused or ended: every barred
system call (so every attempt at a network, a mount, another namespace, a trace), a limit that was
passed where that shows, and processes that were left behind. *Not* seen are files that are not
there (a path outside does not exist for the command, and it is told just that), what Landlock or
file permissions refuse, ``clone3`` (it is told that there is none, and takes ``clone``), errors
that a limit makes inside the command (no memory, a file too large, a fork that fails), and signals
to what it can't see. Nor is the kernel's audit log told: it has the refusals by the kernel.

**What is not held.** A bug of the Linux kernel that can be reached by ordinary system calls. Side
channels between programs on one machine. Memory that the kernel itself takes for sockets and pipes.
The limits of memory and of the folder are looked at 20 and some 10 times a second: a command may be
past them for that long. A deleted file that is still open takes room on the disk until the call
ends; all that is promised is that some of the disk stays free.
"""
