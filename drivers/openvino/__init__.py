"""The OpenVINO driver: a second engine for local models, on Intel's and AMD's CPUs.

It serves the same models as the edge driver, in 8 bits; the answers are nearly the same, and not
quite. The package of this name is the extra ``openvino``: ``pip install "llmagentos[openvino]"``.
"""
