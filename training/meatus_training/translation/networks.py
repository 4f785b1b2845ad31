"""CUT's three networks: ResNet generator, PatchGAN discriminator and patch sampler.

Tensors are (N, C, H, W); images have one channel, or one for each of several slices that follow
on one another. Modules bear the published names (``model.<index>``, ``mlp_<level>``), so that
published and own weights load alike, strictly.

Sources: Park et al., "Contrastive learning for unpaired image-to-image translation", ECCV 2020;
of the anti-aliased halving and doubling Zhang, "Making convolutional networks shift-invariant
again", ICML 2019, with CUT's filters and borders.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Index of the generator's first residual block.
FIRST_BLOCK = 12

# The sampler's vectors are divided by their norm plus this, as published.
NORM_EPSILON = 1e-7


class Generator(nn.Module):
    """One slice in, one slice of the other contrast out, both in [-1, 1].

    With ``styles`` > 0 every pixel's features are scaled and shifted per channel by the numbers
    of the wanted style (Perez et al., "FiLM", AAAI 2018), after the residual blocks of the
    second half and after the decoder's two norms. The first half, from which the contrastive
    loss takes its features, knows no style: content is compared free of it. All scales start
    at one and all shifts at zero, so that training starts from the network without styles.
    """

    def __init__(
        self, width: int = 64, blocks: int = 9, styles: int = 0, channels: int = 1
    ) -> None:
        """``channels`` are slices that follow on one another, all of which are translated."""
        super().__init__()
        self.width, self.blocks, self.styles = width, blocks, styles
        self.channels = channels
        g = width
        self.model = nn.Sequential(
            *_padded_conv(channels, g, 7),
            *_normed(g),
            *_down(g, 2 * g),
            *_down(2 * g, 4 * g),
            *(ResidualBlock(4 * g) for _ in range(blocks)),
            *_up(4 * g, 2 * g),
            *_up(2 * g, g),
            *_padded_conv(g, channels, 7),
            nn.Tanh(),
        )
        self.film = nn.ModuleDict()
        if styles:
            for index, channels in _styled_layers(blocks, g).items():
                self.film[str(index)] = Film(styles, channels)

    def forward(self, x: Tensor, styles: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and style numbers (N,) to (N, C, H', W'), the next multiples of four."""
        return self._run(x, styles, (), len(self.model))[0]

    def with_features(
        self, x: Tensor, styles: Tensor | None, layers: Sequence[int]
    ) -> tuple[Tensor, list[Tensor]]:
        """The translation, and on the way the outputs of ``layers``."""
        return self._run(x, styles, layers, len(self.model))

    def features(self, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Outputs of ``layers``, which must lie before the first styled layer."""
        return self._run(x, None, layers, max(layers) + 1)[1]

    def feature_channels(self, layers: Sequence[int]) -> list[int]:
        """Channels of each of ``layers``: what the patch sampler must take in."""
        parameter = next(self.parameters())
        probe = torch.zeros(
            1, self.channels, 16, 16, device=parameter.device, dtype=parameter.dtype
        )
        with torch.no_grad():
            return [feature.shape[1] for feature in self.features(probe, layers)]

    def _run(
        self, x: Tensor, styles: Tensor | None, layers: Sequence[int], stop: int
    ) -> tuple[Tensor, list[Tensor]]:
        features = []
        for index, layer in enumerate(list(self.model)[:stop]):
            x = layer(x)
            if str(index) in self.film:
                x = self.film[str(index)](x, styles)
            if index in layers:
                features.append(x)
        return x, features


class ResidualBlock(nn.Module):
    """``x`` plus two convolutions of it; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            *_padded_conv(channels, channels, 3),
            *_normed(channels),
            *_padded_conv(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_block(x)
        return out


class Film(nn.Module):
    """One scale and one shift per style and channel; a new one changes nothing."""

    def __init__(self, styles: int, channels: int) -> None:
        super().__init__()
        self.scale_and_shift = nn.Embedding(styles, 2 * channels)
        nn.init.zeros_(self.scale_and_shift.weight)

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """(N, C, H, W) and style numbers (N,) to (N, C, H, W)."""
        numbers: Tensor = self.scale_and_shift(styles)[:, :, None, None]
        scale, shift = numbers.chunk(2, dim=1)
        return x * (1 + scale) + shift


class Discriminator(nn.Module):
    """PatchGAN: one logit per patch; with styles one per patch and style, of which one counts.

    A style's logit is a second output of the last layer, not a second input: the question "is
    this a slice of that site?" shares all features with the same question about other sites.
    """

    def __init__(
        self, width: int = 64, styles: int = 0, channels: int = 1, *, norm: bool = True
    ) -> None:
        """Without ``norm`` it sees how bright a patch is, not only how it differs from others."""
        super().__init__()
        d = width
        self.styles = styles
        self.model = nn.Sequential(
            *_judging(channels, d, norm=False),
            *_judging(d, 2 * d, norm=norm),
            *_judging(2 * d, 4 * d, norm=norm),
            *_judging(4 * d, 8 * d, norm=norm)[:-1],
            nn.Conv2d(8 * d, max(styles, 1), 4, padding=1),
        )

    def forward(self, x: Tensor, styles: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and style numbers (N,) to logits (N, 1, h, w); no sigmoid."""
        logits: Tensor = self.model(x)
        if styles is None:
            return logits
        chosen: Tensor = logits[torch.arange(len(x), device=x.device), styles]
        return chosen[:, None]


class PatchSampler(nn.Module):
    """Unit vectors of the features at given positions, by one small network per level."""

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.levels = len(channels)
        for level, c in enumerate(channels):
            mlp = nn.Sequential(nn.Linear(c, width), nn.ReLU(), nn.Linear(width, width))
            self.add_module(f"mlp_{level}", mlp)

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Per level: (B, C, H, W) and positions (P,), row by row, to (B * P, width).

        An image's vectors follow one another.
        """
        pairs = enumerate(zip(features, positions, strict=True))
        return [self.level(level, feature, places) for level, (feature, places) in pairs]

    def level(self, level: int, feature: Tensor, places: Tensor) -> Tensor:
        """(B, C, H, W) and positions (P,) to unit vectors (B * P, width) of one level."""
        picked = feature.flatten(2)[:, :, places]  # (B, C, P)
        vectors: Tensor = self.get_submodule(f"mlp_{level}")(picked.transpose(1, 2).flatten(0, 1))
        norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return vectors / (norms + NORM_EPSILON)


def draw_positions(features: Sequence[Tensor], count: int, rng: torch.Generator) -> list[Tensor]:
    """For each level (B, C, H, W) min(``count``, H W) different positions in a slice."""
    places = (torch.randperm(f[0, 0].numel(), generator=rng)[:count] for f in features)
    return [p.to(f.device) for p, f in zip(places, features, strict=True)]


def initialise(network: nn.Module, method: str) -> None:
    """Draw all weights: "he" (the paper) or "xavier" with gain 0.02 (the published code).

    Biases become zero. Both are normal; He's variance is 2 / fan-in.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if method == "he":
            nn.init.kaiming_normal_(module.weight)
        else:
            nn.init.xavier_normal_(module.weight, gain=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _padded_conv(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    return nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel)


def _normed(channels: int) -> tuple[nn.Module, ...]:
    return nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)


def _down(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), *_normed(outputs), BlurDown(outputs)


def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return BlurUp(inputs), nn.Conv2d(inputs, outputs, 3, padding=1), *_normed(outputs)


def _judging(inputs: int, outputs: int, *, norm: bool) -> list[nn.Module]:
    norms = [nn.InstanceNorm2d(outputs)] if norm else []
    rectified = nn.LeakyReLU(0.2, inplace=True)
    return [nn.Conv2d(inputs, outputs, 4, padding=1), *norms, rectified, BlurDown(outputs)]


def last_features(blocks: int) -> int:
    """Index of the layer of a generator with ``blocks`` that its last convolution draws from."""
    return FIRST_BLOCK + blocks + 7  # two doublings of four layers each


def first_styled(blocks: int) -> int:
    """Index of the first layer of a generator with ``blocks`` whose output knows the style."""
    return FIRST_BLOCK + (blocks + 1) // 2


def _styled_layers(blocks: int, width: int) -> dict[int, int]:
    """Index of each styled layer and its channels: half of the blocks, the decoder's norms."""
    end = FIRST_BLOCK + blocks
    styled = dict.fromkeys(range(first_styled(blocks), end), 4 * width)
    return styled | {end + 2: 2 * width, end + 6: width}


class BlurDown(nn.Module):
    """Binomial blur [1, 2, 1], then every second row and column, starting with the first."""

    filt: Tensor  # (C, 1, 3, 3), the name it bears in published checkpoints

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _outer([1, 2, 1]).repeat(channels, 1, 1, 1) / 16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)); the border is reflected."""
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        # In fp32: torch 2.13 takes ten times as long for the gradient of a bf16 depthwise
        # convolution on a processor, a third of a whole step.
        with torch.autocast("cuda" if x.is_cuda else "cpu", enabled=False):
            blurred = F.conv2d(padded.float(), self.filt, stride=2, groups=len(self.filt))
        return blurred.to(x.dtype)


class BlurUp(nn.Module):
    """Doubling by the transposed filter [1, 3, 3, 1] / 4 with replicated borders.

    A new row then lies a quarter of an old pixel from the nearest old row and takes 3/4 of it
    and 1/4 of the next: that is bilinear interpolation with half-pixel centres, for which torch
    has a routine far faster than a depthwise transposed convolution.
    """

    filt: Tensor  # (C, 1, 4, 4): only so that published checkpoints load strictly

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _outer([1, 3, 3, 1]).repeat(channels, 1, 1, 1) / 16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2 H, 2 W)."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _outer(row: list[float]) -> Tensor:
    weights = torch.tensor(row, dtype=torch.float32)
    return torch.outer(weights, weights)[None, None]
