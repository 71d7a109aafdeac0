"""The cloud driver: models behind an endpoint with OpenAI's API or Anthropic's, here or far away.

One process serves one endpoint. The library of its API speaks HTTP; what is declared of the
endpoint (``endpoint``) decides what may be asked of it.
"""
