"""The TUI: what runs, on one screen. Imported only by ``llmos`` without a command.

It is a client like any other: all that it shows and does goes through syscalls.
"""
