"""The shipped applications: programs that are agents, each started by a manifest in ``manifests/``.

They use ``llmagentos`` as anybody's program does, and know nothing about hosts.
"""
