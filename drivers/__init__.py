"""Compute drivers: programs that serve the kernel's LLM calls, one OS process each.

``host`` is the loop that every driver shares, ``engine`` what it asks of an engine; ``edge``
runs a local model, ``scripted`` plays one for tests, ``models`` keeps the models on disk.
They know the kernel only by its driver protocol (``llmagentos.abi.driver``).
"""
