"""The character language model of section 4.2 and Appendix I: one GRU (Cho et al. 2014) over bytes.

The paper gives sizes (shared embedding 128, state 512, two linear readouts of 256 and 128, 256 characters) and no code. Where
it is silent the choices are ours, and so are numbers from this network, not the paper's:

- the embedding is "shared" by input and output: logits are the second readout's products with its rows, plus a bias;
- a ReLU between the two readouts; torch's form of the GRU, with two biases a gate;
- Glorot-uniform linear matrices and embedding, zero biases, as in the suite's other networks; the GRU as torch draws it;
- the embedding is dense, being the first layer, which a uniform distribution leaves dense (section 3), and the last one too;
  both gate matrices and both readouts are masked, biases never.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import Family, LayerRule, initialize_as_authors, require_width, scaled


class CharLM(nn.Module):
    """Embedding, GRU, two readouts, and the embedding again: embedding, gru, readout1, readout2.

    Each stacked gate matrix is one layer: gru.weight_ih_l0 [3 * 512, 128] and gru.weight_hh_l0 [3 * 512, 512], gates in
    torch's order (reset, update, new).

    Args:
        input_shape: of one sample, [characters]; any length.
        classes: values of a character.
        width: multiplier of embedding, state and readouts, for a small dense network of the same parameter count.

    Raises:
        ValueError: for inputs that are no text, or a width out of range.
    """

    input_dtype = torch.long

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_width(width)
        if len(input_shape) != 1:
            raise ValueError(f"charlm_gru reads text [characters], not inputs of shape {list(input_shape)}")
        embedding, state, readout = (scaled(size, width) for size in (128, 512, 256))
        # One matrix [classes, embedding]: its rows are looked up on the way in and multiplied with on the way out.
        self.embedding = nn.Linear(embedding, classes)
        self.gru = nn.GRU(embedding, state, batch_first=True)
        self.readout1 = nn.Linear(state, readout)
        self.readout2 = nn.Linear(readout, embedding)
        initialize_as_authors(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [N, T, classes] of what follows each of ``tokens``, int64 [N, T], read from the zero state."""
        return self.continued(tokens, None)[0]

    def continued(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits as in :meth:`forward`, read from ``state`` on (None: zero), and the state [1, N, units] at the end.

        That state is detached: gradients reach back to the first of ``tokens`` and no further.
        """
        hidden, state = self.gru(functional.embedding(tokens, self.embedding.weight), state)
        hidden = self.readout2(functional.relu(self.readout1(hidden)))
        return self.embedding(hidden), state.detach()


FAMILY = Family(
    note="The paper leaves much of this network open: what is tied and what is masked is our choice, and so are its costs.",
    pattern="charlm_gru",
    spelling="charlm_gru",
    examples=("charlm_gru",),
    dataset="wikitext103",
    factory=CharLM,
    layer_rules=(LayerRule("embedding", "unmasked"),),
)
