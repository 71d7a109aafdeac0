"""Every door for people: the ``llmos`` command, and the supervisor behind ``llmos up``.

It reaches the system by syscalls only, and knows nothing about kernel, drivers or agents but
the commands that start them.
"""
