"""The embedding driver: vectors of texts, by a small model in ONNX.

Nothing here is imported by any other part of the system. It knows the driver protocol and the
models on this machine; where vectors go, and what they are compared with, it doesn't know.
"""
