"""The denoiser: dilated convolution and local attention in every block.

The mixed block comes from DiffAct (D. Liu et al., "Diffusion Action
Segmentation", ICCV 2023). Here it is linear in T without loops or index
tables, told the timestep in every block (FiLM), and blind to padding; and the
condition enters the values too, not only queries and keys, since the values
of pure noise tell nothing.
Dimension letters: N videos, C classes, F channels, H heads, T snippets,
B blocks of queries. Inside, tensors are channel-last (N, T, F).
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .dropout import Dropout

QUERIES = 16  # queries of a block; smaller blocks would make tiny products
# Added to a score, it leaves nothing of it, also in half precision; a softmax
# over nothing but -inf, at a padded query, would be NaN.
HIDDEN = -1e4


def blocks_of(length: int, reach: int) -> tuple[int, int, int]:
    """Queries and keys of a block, and the snippets missing in the last."""
    size = max(QUERIES, reach)
    return size, size + 2 * reach, -length % size


def attention_window(valid: Tensor, reach: int) -> Tensor:
    """What :func:`local_attention` adds to its scores.

    Args:
        valid (Tensor): (N, T) bool; other keys are not attended to.
        reach (int): In snippets, >= 0.

    Returns:
        Tensor: (N, 1, B, queries, keys), 0 or ``HIDDEN``.
    """
    size, span, tail = blocks_of(valid.size(1), reach)
    near = torch.ones(
        size, span, dtype=torch.bool,
        device=valid.device).triu().tril(2 * reach)
    seen = F.pad(valid, (reach, reach + tail)).unfold(1, span, size)
    return (~(near & seen.unsqueeze(2))).unsqueeze(1) * HIDDEN


def local_attention(qkv: Tensor, window: Tensor, reach: int) -> Tensor:
    """Softmax attention to the snippets at most ``reach`` away.

    Time is cut into blocks of queries; each sees its block and ``reach``
    snippets on both sides: time and memory grow with T, not with T * T.

    Args:
        qkv (Tensor): Query, key and value, (N, T, 3, H, F / H).
        window (Tensor): Of :func:`attention_window` with the same reach.
        reach (int): In snippets, >= 0.

    Returns:
        Tensor: (N, T, H, F / H).
    """
    length = qkv.size(1)
    size, _, tail = blocks_of(length, reach)

    # (3, N, H, B, size, F / H)
    query, memory = F.pad(qkv.permute(2, 0, 3, 1, 4),
                          (0, 0, 0, tail)).unflatten(3,
                                                     (-1, size)).split([1, 2])
    # Neighbouring blocks lend their edges, (2, N, H, B, span, F / H): the
    # gradient adds slices, where that of ``Tensor.unfold`` scatters.
    edge = memory.new_zeros(*memory.shape[:3], 1, reach, memory.size(-1))
    before = torch.cat([edge, memory[..., :-1, size - reach:, :]], 3)
    after = torch.cat([memory[..., 1:, :reach, :], edge], 3)
    key, value = torch.cat([before, memory, after], 4)

    # Fused attention kernels are slower than products this small.
    score = query[0] * query.size(-1)**-0.5 @ key.transpose(-1, -2)
    out = score.add_(window).softmax(-1) @ value
    return out.flatten(2, 3)[:, :, :length].transpose(1, 2)


def global_attention(qkv: Tensor, valid: Tensor) -> Tensor:
    """Like :func:`local_attention`, to all valid snippets."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(
        query, key, value, attn_mask=valid[:, None, None])
    return out.transpose(1, 2)


class DilatedConv(nn.Linear):
    """1-D convolution of the same length over channel-last sequences.

    One product with the neighbours side by side, the weight (F, k F): on a
    CPU, torch takes short dilated convolutions apart, one product for each
    tap.

    Args:
        channels (int): F, in and out.
        kernel_size (int): k, odd.
        dilation (int): d, in snippets.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__(kernel_size * channels, channels)
        self.dilation = dilation
        self.reach = dilation * (kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, F) -> (N, T, F)."""
        length = x.size(1)
        x = F.pad(x, (0, 0, self.reach, self.reach))
        taps = [
            x[:, start:start + length]
            for start in range(0, 2 * self.reach + 1, self.dilation)
        ]
        return super().forward(torch.cat(taps, -1))


class MixedBlock(nn.Module):
    """``x + FFN(FiLM(norm(conv(x) + attention(x, condition)), t))``.

    Args:
        channels (int): F.
        num_heads (int): H.
        kernel_size (int): Odd.
        dilation (int): Of the convolution, in snippets.
        dropout (float): On the output of the FFN.
        reach (int, optional): Of the attention, in snippets; None attends to
            the whole video.
    """

    def __init__(self,
                 channels: int,
                 num_heads: int,
                 kernel_size: int,
                 dilation: int,
                 dropout: float,
                 reach: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.reach = reach
        self.conv = DilatedConv(channels, kernel_size, dilation)
        self.qkv = nn.Linear(channels, 3 * channels)
        # Over channels only: statistics over time would see the padding and
        # erase how much action there is.
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(inplace=True),
            nn.Linear(channels, channels), Dropout(dropout))

    def forward(self, x: Tensor, condition: Tensor, scale: Tensor,
                shift: Tensor, valid: Tensor, window: Tensor) -> Tensor:
        """One block.

        Args:
            x (Tensor): (N, T, F), zero where not valid.
            condition (Tensor): What the condition adds to query, key and
                value, (N, 3F, T).
            scale, shift (Tensor): What the timestep does, (N, 1, F); the
                scale is around 1.
            valid (Tensor): (N, T, 1) bool.
            window (Tensor): What the attention adds to its scores, (N, T) bool
                for all snippets.

        Returns:
            Tensor: (N, T, F), zero where not valid.
        """
        qkv = (self.qkv(x) + condition.transpose(1, 2)).unflatten(
            -1, (3, self.num_heads, -1))
        if self.reach is None:
            mixed = global_attention(qkv, window)
        else:
            mixed = local_attention(qkv, window, self.reach)
        y = (self.conv(x).view(mixed.shape) + mixed).flatten(2)
        y = torch.addcmul(shift, self.norm(y), scale)
        return (x + self.ffn(y)) * valid


class Denoiser(nn.Module):
    """(noisy mask, timestep, condition) -> logits of the clean mask.

    A subclass has a ``time`` network on 2 (F // 2) sines and cosines, makes
    of the condition what :meth:`project` says, and does :meth:`refine`.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition.
        channels (int): F, even.
    """

    frequencies: Tensor
    time: nn.Module

    def __init__(self, num_classes: int, condition_channels: int,
                 channels: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.condition_channels = condition_channels
        self.channels = channels
        self.register_buffer(
            'frequencies',
            1e4**-torch.linspace(0, 1, channels // 2),
            persistent=False)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        condition: Tensor | tuple[Tensor, ...],
        valid: Tensor | tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Denoise once.

        Args:
            x (Tensor): Noisy mask (N, C, T), in [-1, 1].
            timesteps (Tensor): (N,) long, or what :meth:`embed` has made of
                them.
            condition (Tensor | tuple[Tensor, ...]): (N, condition_channels,
                T), or what :meth:`project` has made of it.
            valid (Tensor | tuple[Tensor, ...], optional): (N, 1, T) bool, or
                what :meth:`scope` has made of it. Defaults to all.

        Returns:
            tuple[Tensor, Tensor]: Logits (N, C, T) and the latent of the last
            layer (N, F, T), both zero where not valid.

        Raises:
            ValueError: When the shapes do not fit.
        """
        num_videos, _, length = x.shape
        check_shape('x', x, (num_videos, self.num_classes, length))
        if isinstance(condition, Tensor):
            check_shape('condition', condition,
                        (num_videos, self.condition_channels, length))
            condition = self.project(condition)
        if valid is None:
            valid = x.new_ones(num_videos, 1, length, dtype=torch.bool)
        if isinstance(valid, Tensor):
            valid = self.scope(valid)
        if timesteps.dim() == 1:
            timesteps = self.embed(timesteps)
        return self.refine(x, timesteps, condition, valid)

    def embed(self, timesteps: Tensor) -> Tensor:
        """What timesteps (S,) do in all layers, (S, ·).

        A sampler needs its timesteps once, whatever the number of videos.
        """
        angles = timesteps.unsqueeze(1) * self.frequencies
        return self.time(torch.cat([angles.sin(), angles.cos()], 1))

    def project(self, condition: Tensor) -> tuple[Tensor, ...]:
        """What (N, condition_channels, T) adds in each layer, (N, ·, T).

        It does not depend on the timestep: a sampler needs it once. What is
        zero stays zero: snippets may be hidden before or after.
        """
        raise NotImplementedError

    def scope(self, valid: Tensor) -> tuple[Tensor, ...]:
        """What the padding (N, 1, T) bool hides in each layer, itself first.

        A sampler needs it once.
        """
        return (valid, )

    def refine(self, x: Tensor, timesteps: Tensor, condition: tuple[Tensor,
                                                                    ...],
               scope: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """:meth:`forward` with everything prepared and checked."""
        raise NotImplementedError


@MODELS.register_module()
class TemporalDenoiser(Denoiser):
    """(noisy mask, timestep, condition) -> logits of the clean mask.

    Block i has dilation ``2^i``, and its attention reaches as far as its
    convolution; the receptive field is
    ``1 + (kernel_size - 1) (2^num_layers - 1)`` snippets: 31 by default.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition.
        channels (int): F. Defaults to 128.
        num_layers (int): Local blocks. Defaults to 4.
        kernel_size (int): Of the convolutions, odd. Defaults to 3.
        num_heads (int): H. Defaults to 4.
        dropout (float): Inside the blocks. Defaults to 0.1.
        global_attention (bool): Add a block that attends to the whole video,
            for short sequences (ActivityNet). Its cost grows with T * T.
            Defaults to False.

    Raises:
        ValueError: For an even ``kernel_size``, or ``channels`` that are not
            a multiple of ``2 num_heads``.
    """

    def __init__(self,
                 num_classes: int,
                 condition_channels: int,
                 channels: int = 128,
                 num_layers: int = 4,
                 kernel_size: int = 3,
                 num_heads: int = 4,
                 dropout: float = 0.1,
                 global_attention: bool = False) -> None:
        super().__init__(num_classes, condition_channels, channels)
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        if channels % (2 * num_heads):
            raise ValueError(f'channels must be a multiple of 2 * num_heads = '
                             f'{2 * num_heads}, got channels={channels}')
        self.reaches: list[int | None] = [
            2**i * (kernel_size // 2) for i in range(num_layers)
        ] + [None] * global_attention
        self.blocks = nn.ModuleList(
            MixedBlock(channels, num_heads, kernel_size, 2**i, dropout, reach)
            for i, reach in enumerate(self.reaches))
        self.stem = nn.Linear(num_classes, channels)
        # The shares of all blocks in one matrix.
        self.condition = nn.Linear(
            condition_channels, 3 * channels * len(self.blocks), bias=False)
        self.time = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(),
            nn.Linear(4 * channels, 2 * channels * len(self.blocks)))
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, num_classes)
        # Zero logits at the start: fusion begins as the base branch.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def refine(self, x: Tensor, timesteps: Tensor, condition: tuple[Tensor,
                                                                    ...],
               scope: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """See :class:`Denoiser`."""
        mask = scope[0].transpose(1, 2)
        film = timesteps.unsqueeze(1)
        scales = (1 + film).chunk(2 * len(self.blocks), -1)[::2]
        shifts = film.chunk(2 * len(self.blocks), -1)[1::2]
        hidden = self.stem(x.transpose(1, 2)) * mask
        for i, block in enumerate(self.blocks):
            hidden = block(hidden, condition[i], scales[i], shifts[i], mask,
                           scope[i + 1])
        hidden = self.norm(hidden) * mask
        return ((self.head(hidden) * mask).transpose(1, 2),
                hidden.transpose(1, 2))

    def project(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value of each block, (N, 3F, T)."""
        condition = condition.transpose(1, 2)
        return tuple(
            F.linear(condition, weight).transpose(1, 2)
            for weight in self.condition.weight.chunk(len(self.blocks)))

    def scope(self, valid: Tensor) -> tuple[Tensor, ...]:
        """Which keys each block attends to."""
        seen = valid[:, 0]
        return (valid,
                *(seen if reach is None else attention_window(seen, reach)
                  for reach in self.reaches))


def check_shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    """Raise a ValueError when the shape is not as expected."""
    if tensor.shape != expected:
        raise ValueError(f'{name} must have shape {expected}, '
                         f'got {tuple(tensor.shape)}')
