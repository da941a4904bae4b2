"""Data sets: made into tensors once (``sources``, from what is ``published``), kept (``tensors``), served in ``batches``.

The training process imports ``tensors`` and ``batches`` only, which need torch, numpy and safetensors.
"""
