"""GroupViT's networks: a ViT whose patches are gathered into groups twice, and a text tower beside it.

Paper: Xu et al., CVPR 2022, GroupViT: Semantic Segmentation Emerges from Text Supervision,
https://arxiv.org/abs/2202.11094. Key layout and details that the paper leaves open: NVlabs/GroupViT 13b7861,
models/group_vit.py and models/multi_label_contrastive.py. Different from it: a picture of any size is taken without
being told so, no drop-path, and the token table of the embedded weights holds only the rows that training saw.

Legend: B pictures, H and W their height and width, L patches or segments that go into a grouping, G groups that come
out of it, T learned group tokens, C width, M texts, P token positions, D embedding size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip.transformer import QuickGELU, Transformer
from torch import Tensor, nn

from core.backbones.clip_model import BPE_TOKENS, CompactEmbedding

GROUPING_RATIO = 0.5  # width of the MLP over the token axis against C; group_vit.py: mlp_ratio=(0.5, 4.0)
MLP_RATIO = 4
ASSIGN_EPS = 1.0  # added to a group's number of patches before it divides; group_vit.py: AssignAttention
MAX_LOGIT_SCALE = 100.0
FIRST_LOG_SCALE = 2.6592600369  # ln(1 / 0.07)


@dataclass(frozen=True, kw_only=True)
class GroupVitSize:
    """The numbers that fix a GroupViT; those given here are the published ones."""

    image_size: int = 224  # of training; the positions are stretched for any other
    patch_size: int = 16
    width: int = 384
    heads: int = 6
    depths: tuple[int, ...] = (6, 3, 3)
    group_tokens: tuple[int, ...] = (64, 8, 0)
    output_groups: tuple[int, ...] = (64, 8, 0)
    text_width: int = 256
    text_layers: int = 12
    text_heads: int = 4
    context_length: int = 77
    vocab_size: int = BPE_TOKENS
    embed_dim: int = 256
    projector_width: int = 4096


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """What the image tower makes of B pictures."""

    groups: Float[Tensor, "B G C"]  # one feature a group of the last grouping
    pooled: Float[Tensor, "B C"]  # their mean
    soft: tuple[Float[Tensor, "B _ _"], ...]  # for each grouping, softmax over the groups for each thing grouped
    hard: tuple[Float[Tensor, "B _ _"], ...]  # the same, one-hot: what the features were gathered by


def gumbel_noise(like: Tensor) -> Tensor:
    """Draw standard Gumbel noise from torch's own generator."""
    return -torch.empty_like(like).exponential_().log()


def assignment(
    logits: Float[Tensor, "... G L"], noise: Float[Tensor, "... G L"] | None = None, *, tau: float = 1.0
) -> tuple[Float[Tensor, "... G L"], Float[Tensor, "... G L"]]:
    """Return the hard and the soft assignment of L things to G groups (Eq. 3 to 5).

    With Gumbel noise it is that of training. The hard one has the soft one's gradient.
    """
    soft = (logits if noise is None else (logits + noise) / tau).softmax(-2)
    one_hot = torch.zeros_like(soft).scatter_(-2, soft.argmax(-2, keepdim=True), 1.0)
    return one_hot - soft.detach() + soft, soft


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        """Go from `width` through `hidden` to `out`, or back to `width`."""
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out or width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to the last axis."""
        return self.fc2(F.gelu(self.fc1(x)))


class TokenMlp(Mlp):
    """An MLP over the token axis (MLP-Mixer): it turns so many tokens into so many others."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to the last axis but one."""
        return super().forward(x.transpose(-1, -2)).transpose(-1, -2)


class SelfAttention(nn.Module):
    """Attention of tokens to each other, with one matrix for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the projections."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        """Attend."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention of tokens to other tokens."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the projections."""
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Float[Tensor, "B T C"], x: Float[Tensor, "B L C"]) -> Float[Tensor, "B T C"]:
        """Attend."""
        parts = (self.q_proj(query), self.k_proj(x), self.v_proj(x))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        """Make its two halves."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.mlp = Mlp(width, MLP_RATIO * width)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        """Apply it."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """Group tokens look at the patches once more before they compete for them; normalised only at its end."""

    def __init__(self, width: int, heads: int) -> None:
        """Make its two halves."""
        super().__init__()
        self.attn = CrossAttention(width, heads)
        self.norm2, self.norm_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = Mlp(width, MLP_RATIO * width)

    def forward(self, query: Float[Tensor, "B T C"], x: Float[Tensor, "B L C"]) -> Float[Tensor, "B T C"]:
        """Apply it."""
        query = query + self.attn(query, x)
        return self.norm_post(query + self.mlp(self.norm2(query)))


class Assign(nn.Module):
    """Each patch goes to one group; a group's feature is the sum of its patches over their number plus one."""

    def __init__(self, width: int) -> None:
        """Make the projections."""
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Float[Tensor, "B G C"], x: Float[Tensor, "B L C"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gathered features, (B, G, C), and the hard and soft assignments, (B, G, L)."""
        logits = self.q_proj(query) @ self.k_proj(x).transpose(1, 2) * query.shape[-1] ** -0.5  # (B, G, L)
        logits = logits.float()
        hard, soft = assignment(logits, gumbel_noise(logits) if self.training else None)
        shares = hard / (hard.sum(-1, keepdim=True) + ASSIGN_EPS)
        return self.proj(shares.to(x.dtype) @ self.v_proj(x)), hard, soft


class GroupingBlock(nn.Module):
    """Gathers L patches or segments into G groups (Sec. 3.1)."""

    def __init__(self, width: int, heads: int, tokens: int, groups: int) -> None:
        """Make its parts for so many group tokens and groups that come out."""
        super().__init__()
        self.norm_tokens, self.norm_post_tokens = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_x, self.norm_new_x = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp_inter = TokenMlp(tokens, int(GROUPING_RATIO * width), groups)
        self.pre_assign_attn = CrossBlock(width, heads)
        self.assign = Assign(width)
        self.mlp_channels = Mlp(width, MLP_RATIO * width)

    def forward(self, x: Float[Tensor, "B L C"], tokens: Float[Tensor, "B T C"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the groups' features, (B, G, C), and the hard and soft assignments, (B, G, L)."""
        x = self.norm_x(x)
        centres = self.norm_post_tokens(self.mlp_inter(self.norm_tokens(tokens)))  # (B, G, C)
        centres = self.pre_assign_attn(centres, x)
        gathered, hard, soft = self.assign(centres, x)
        groups = gathered + centres
        return groups + self.mlp_channels(self.norm_new_x(groups)), hard, soft


class Stage(nn.Module):
    """Transformer blocks over patches and group tokens together, and the grouping after them where there is one."""

    def __init__(self, size: GroupVitSize, index: int) -> None:
        """Make stage `index`."""
        super().__init__()
        self.tokens = size.group_tokens[index]
        self.blocks = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.depths[index]))
        if not self.tokens:
            return
        self.group_token = nn.Parameter(torch.zeros(1, self.tokens, size.width))
        self.downsample = GroupingBlock(size.width, size.heads, self.tokens, size.output_groups[index])
        if index:
            mlp = TokenMlp(size.group_tokens[index - 1], size.width // 2, self.tokens)
            self.group_projector = nn.Sequential(nn.LayerNorm(size.width), mlp)
        else:
            nn.init.trunc_normal_(self.group_token, std=0.02)

    def forward(self, x: Float[Tensor, "B L C"], tokens: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return what comes out of the blocks, (B, L, C), the group tokens beside it, (B, T, C), or None without any.

        `tokens` are those of the stage before, (B, T', C).
        """
        if self.tokens:
            own = self.group_token.expand(len(x), -1, -1)
            if tokens is not None:
                own = own + self.group_projector(tokens)
            x = torch.cat([x, own], dim=1)
        for block in self.blocks:
            x = block(x)
        return (x[:, : -self.tokens], x[:, -self.tokens :]) if self.tokens else (x, None)


class PatchEmbed(nn.Module):
    """Patches into tokens."""

    def __init__(self, patch: int, width: int) -> None:
        """Make the projection and the norm after it."""
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B L C"]:
        """Return a token a patch, row by row; what is left over at the right and below is not seen."""
        return self.norm(self.proj(images).flatten(2).transpose(1, 2))


class ImageEncoder(nn.Module):
    """The grouping vision transformer (Sec. 3.1)."""

    def __init__(self, size: GroupVitSize) -> None:
        """Make all stages."""
        super().__init__()
        side = size.image_size // size.patch_size
        self.grid, self.patch = side, size.patch_size
        self.patch_embed = PatchEmbed(size.patch_size, size.width)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, side * side, size.width))
        self.layers = nn.ModuleList(Stage(size, index) for index in range(len(size.depths)))
        self.norm = nn.LayerNorm(size.width)

    def positions(self, rows: int, columns: int) -> Float[Tensor, "1 L C"]:
        """Return the position embedding of a grid of patches, bicubically stretched where it is not training's."""
        if (rows, columns) == (self.grid, self.grid):
            return self.pos_embed
        square = self.pos_embed.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        return F.interpolate(square, size=(rows, columns), mode="bicubic", align_corners=False).flatten(2).mT

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Grouped:
        """Group each picture's patches and return the groups' features."""
        height, width = images.shape[2:]
        x = self.patch_embed(images) + self.positions(height // self.patch, width // self.patch)
        tokens, hard, soft = None, [], []
        for stage in self.layers:
            x, tokens = stage(x, tokens)
            if tokens is not None:
                x, how_hard, how_soft = stage.downsample(x, tokens)
                hard.append(how_hard)
                soft.append(how_soft)
        x = self.norm(x)
        return Grouped(groups=x, pooled=x.mean(1), soft=tuple(soft), hard=tuple(hard))


class TextEncoder(nn.Module):
    """CLIP's causal text transformer without its projection (multi_label_contrastive.py, models/transformer.py)."""

    def __init__(self, size: GroupVitSize, token_ids: Int[Tensor, " known"] | None = None) -> None:
        """Make the tower; `token_ids` gives it a compact token table."""
        super().__init__()
        width = size.text_width
        self.token_embedding: nn.Module = (
            nn.Embedding(size.vocab_size, width) if token_ids is None else CompactEmbedding(token_ids, width)
        )
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(size.context_length, width))
        self.transformer = Transformer(width, size.text_layers, size.text_heads, act_layer=QuickGELU)
        self.ln_final = nn.LayerNorm(width)

    def forward(self, tokens: Int[Tensor, "M P"]) -> Float[Tensor, "M C"]:
        """Return the feature at each text's end token; what comes after the last of them is not computed."""
        ends = tokens.argmax(-1)
        length = int(ends.max()) + 1
        x = self.token_embedding(tokens[:, :length]) + self.positional_embedding[:length]  # (M, length, C)
        mask = torch.full((length, length), float("-inf"), device=x.device).triu(1)
        x = self.transformer(x, attn_mask=mask)
        return self.ln_final(x[torch.arange(len(x), device=x.device), ends])


class Projector(nn.Module):
    """From a tower's width to the shared space, through a wide layer with batch normalisation."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        """Make the two layers, written as convolutions of one place as the release has them."""
        super().__init__()
        self.linear_hidden = nn.Sequential(nn.Conv1d(width, hidden, 1), nn.BatchNorm1d(hidden), nn.ReLU())
        self.linear_out = nn.Conv1d(hidden, out, 1)

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        """Project the last axis; in training mode the statistics are those of all rows together."""
        rows = self.linear_hidden(x.reshape(-1, x.shape[-1], 1))
        return self.linear_out(rows).reshape(*x.shape[:-1], -1)


class GroupVit(nn.Module):
    """The two towers, their projectors and the two temperatures."""

    def __init__(self, size: GroupVitSize, token_ids: Int[Tensor, " known"] | None = None) -> None:
        """Make an untrained network."""
        super().__init__()
        self.size = size
        self.img_encoder = ImageEncoder(size)
        self.text_encoder = TextEncoder(size, token_ids)
        self.img_projector = Projector(size.width, size.projector_width, size.embed_dim)
        self.text_projector = Projector(size.text_width, size.projector_width, size.embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE))
        self.multi_label_logit_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE))

    def encode_text(self, tokens: Int[Tensor, "M P"]) -> Float[Tensor, "M D"]:
        """Return texts in the shared space, not normalised."""
        return self.text_projector(self.text_encoder(tokens))

    def encode_image(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B D"], Grouped]:
        """Return pictures in the shared space, not normalised, and how they were grouped."""
        grouped = self.img_encoder(images)
        return self.img_projector(grouped.pooled), grouped


def factor(log_scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Return the factor on cosines that a learned logarithm stands for, at most 100."""
    return log_scale.exp().clamp(max=MAX_LOGIT_SCALE)
