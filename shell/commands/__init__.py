"""The subcommands of ``llmos``, one module a noun. Each is a thin skin over syscalls."""
