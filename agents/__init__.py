"""The agent host: the process in which agents' loops run.

It is a guest of the kernel like any other program: it knows the driver protocol and the
syscalls, and nothing about how the kernel, the drivers or the shell are made.
"""
