"""The cloud driver: models behind an OpenAI-compatible endpoint, here or far away.

One process serves one endpoint. The ``openai`` library speaks HTTP; what is declared of the
endpoint (``endpoint``) decides what may be asked of it.
"""
