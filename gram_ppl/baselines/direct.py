"""Direct prediction: the whole answer in one pass, each token for itself."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Independent

from gram_ppl.baselines.base import Baseline
from gram_ppl.model.codec import Decoder, Encoder, EncoderFactory
from gram_ppl.nn import Attention, MixerFactory, Stack
from gram_ppl.types import Draws, TaskSpec


class Direct(Baseline):
    """Predict all tokens of the answer in one pass: p(y | x) is a product of independent Categoricals.

    Where a question has several answers, the tokens of a draw do not agree on one of them: :meth:`sample` shows what
    the family can say. The direct prediction of the paper's tables is deterministic, the most probable answer
    (:meth:`predict`), so one distinct answer at any width; ``draw(x, width, greedy=True)`` gives it as draws.

    Args:
        spec: tokens and vocabularies of the task.
        dim: width D.
        layers: blocks of the one stack; 8 and 32 in the paper.
        mixer: builds each block's token mixer.
        hidden: inner width of the SwiGLU; ``2 * dim`` by default.
        encoder: builds the network from x to e_x.

    Source: the direct Transformer that arXiv 2605.19376 compares with.

    >>> import gram_ppl as gp
    >>> task = gp.tasks.Sudoku(box=2)
    >>> direct = gp.baselines.Direct(task.spec, dim=8, layers=1)
    >>> direct.draw(task.test.x[:5], width=3).y.shape
    torch.Size([3, 5, 16])
    """

    def __init__(
        self,
        spec: TaskSpec,
        *,
        dim: int = 512,
        layers: int = 8,
        mixer: MixerFactory = Attention,
        hidden: int | None = None,
        encoder: EncoderFactory = Encoder,
    ) -> None:
        super().__init__(spec, footprint=10 * spec.latent_length * dim)
        self.encoder = encoder(spec, dim, 0)
        self.stack = Stack(dim, self.encoder.length, layers=layers, mixer=mixer, hidden=hidden)
        self.decoder = Decoder(spec, dim)

    def forward(self, x: Tensor) -> Independent:
        """Return p(y | x) for questions ``(*, L_x)``: independent Categoricals over L_y tokens."""
        return self.decoder(self.stack(self.encoder(x)))

    def predict(self, x: Tensor) -> Tensor:
        """Return the most probable answer to each question, ``(*batch, L_y)``."""
        return self._in_chunks(self._best, x, 1, None)[0]

    def draw(self, x: Tensor, width: int = 32, *, chunk: int | None = None, greedy: bool = False) -> Draws:
        """Return ``width`` answers to each question as draws.

        Args:
            x: questions ``(*batch, L_x)``.
            width: answers W for each question.
            chunk: answers drawn at once; None chooses by size.
            greedy: give the one answer of :meth:`predict` W times instead of W independent samples.
        """
        y = self._in_chunks(self._best if greedy else self._sample, x, width, chunk)
        return Draws(x=x, y=y, supervision_steps=1)

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        return self(x).log_prob(y)

    def _sample(self, x: Tensor, width: int) -> Tensor:
        return self(x).sample((width,))

    def _best(self, x: Tensor, width: int) -> Tensor:
        return self(x).mode.expand(width, -1, -1)
