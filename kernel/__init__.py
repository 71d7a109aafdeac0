"""The microkernel: a pure state machine (``machine``), and the loop that does its I/O (``server``).

It knows no models, no HTTP and no screens: those live in other processes.
"""
