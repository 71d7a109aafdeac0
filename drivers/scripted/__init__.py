"""A driver without a model, for tests of the kernel and its schedulers ONLY.

Without a delay it is as fast as the protocol: for measuring what is not the model. Nothing here
says anything about a real model.
"""
