"""The sandbox: a tool driver whose tools run commands of agents, shut in.

In the driver: ``tools`` offers them, ``folders`` keeps each process's working folder, ``runs``
starts one jail for each call, ``probe`` says whether this machine can hold one. In the jail, a
program of its own that has nothing but the standard library: ``jail`` shuts itself in step by step
(``namespaces``, ``view``, ``landlock``, ``seccomp``, ``limits``), ``warden`` watches what runs
there, and ``witness`` (with ``names``) tells it what of that is being refused.

**What is held.** A command runs as nobody, without capabilities and without a way to get any, in
user, mount, pid, network, IPC, UTS and cgroup namespaces of its own. Its file system is one that is
made for it: the system's programs, read-only; ``/work``, its process's own folder; an empty
``/tmp``; five harmless devices. There is no network of any kind, no process but its own, no
variable of the driver's environment, no descriptor but its three. Landlock holds the same once
more, seccomp takes away the calls by which a kernel is attacked. Time, memory, processes, files and
output have limits; when the call ends, by itself or not, all that it started is killed.

**What is seen.** For the audit log, everything that is refused as far as it can be known: barred
system calls (``call``), names of files that are not there, not to be changed or somebody else's
(``file``), signals and the like to whoever is not in the jail (``process``), other users,
capabilities, priorities and higher limits (``right``), limits that are met, though they may be no
more than an error inside the command (``limit``), and processes that were left behind (``left``).
``denied`` in a result has ``call``, ``limit`` and ``left``; of the rest the command's own errors
tell. It is judged from the arguments of a call while that waits, not from what came of it: a
program whose threads change them at that moment isn't seen, and is held all the same.

*Not* seen are: who only asks whether a file is there (``stat``, ``access``); a file of the system
that its mode keeps from others; memory that runs out in steps below 1 MB; a file that grew too
long and is gone at the end, if nobody told of the signal. And where nothing is refused, since the
command has its own (``/tmp``, ``/proc``, an environment without secrets), there is nothing to see.

**What is not held.** A bug of the Linux kernel that can be reached by ordinary system calls. Side
channels between programs on one machine. Memory that the kernel itself takes for sockets and pipes.
The limits of memory and of the folder are looked at 20 and some 10 times a second: a command may be
past them for that long. A deleted file that is still open takes room on the disk until the call
ends; all that is promised is that some of the disk stays free.
"""
