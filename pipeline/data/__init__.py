"""Data sets: made into tensors once (``sources``), kept as tensors (``tensors``), served in batches (``batches``).

The training process imports ``tensors`` and ``batches`` only, which need torch, numpy and safetensors.
"""
