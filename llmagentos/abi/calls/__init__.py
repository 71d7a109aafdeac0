"""The argument and result models of the syscalls, one module a family."""
