"""The edge driver: a local model, run with transformers and batched continuously.

``python -m drivers.edge --name edge --model smollm2-135m-instruct``. One file per noun:
``engine`` takes the orders, ``batch`` moves all decoding sequences on by one token, ``cache``
is the only one that knows transformers' cache API, ``sequence`` is one burst, with its
``detokenizer`` and ``sampler``; ``prompt`` makes tokens of messages, ``calls`` calls of tools of
its text, ``loader`` a model of files.
"""
