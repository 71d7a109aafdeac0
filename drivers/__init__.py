"""Drivers: programs that do what the kernel orders, one OS process each.

``host`` is the loop that every driver shares. ``engine`` is what it asks of an engine that serves
LLM calls: ``edge`` runs a local model, ``scripted`` plays one for tests. ``tool`` is what it asks
of a tool: ``clock`` is the smallest driver that has some, ``sandbox`` runs commands, confined.
``models`` keeps the models on disk.
They know the kernel only by its driver protocol (``llmagentos.abi.driver``).
"""
