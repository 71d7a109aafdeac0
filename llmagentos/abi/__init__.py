"""The contract between LLMAgentOS and every program that talks to it.

Names, shapes and limits only: the syscall table, the frames, the error tree, the
manifest schema and the driver protocol. It knows nothing about sockets, files,
models or screens, so that the kernel's pure machine can import it.
"""
