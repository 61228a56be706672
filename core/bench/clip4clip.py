"""How much the tight head of CLIP4Clip gains from scoring pairs together."""

from typing import Any

from core.bench.measure import paired, report

TEXTS = CLIPS = 200
FRAMES, WIDTH, LAYERS = 12, 128, 3  # of the embedded heads
LOOP_TEXTS = 2  # rows that the pairwise loop is timed on; its time is proportional to them


def tight_head() -> dict[str, Any]:
    """Score 200 texts against 200 clips together, against the released computation pair by pair (timed on a few)."""
    import torch

    from core.video_retrieval.heads import VideoHeads, key_bias, pair_up

    torch.manual_seed(0)
    heads = VideoHeads(WIDTH, layers=LAYERS, names=("tightTransf",)).eval()
    texts, frames = torch.randn(TEXTS, WIDTH), torch.randn(CLIPS, FRAMES, WIDTH)
    mask = torch.ones(CLIPS, FRAMES, dtype=torch.long)

    def one(text: torch.Tensor, clip: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        tokens = pair_up(*heads.cross.embed(text[None], clip[None]))
        bias = key_bias(torch.cat([seen.new_ones(1), seen])[None])
        return heads.similarity_dense(heads.cross.pooler(heads.cross.transformer(tokens, bias)))[0, 0]

    def pairwise() -> torch.Tensor:
        with torch.inference_mode():
            rows = [[one(text, frames[i], mask[i]) for i in range(CLIPS)] for text in texts[:LOOP_TEXTS]]
            return torch.tensor(rows)

    def together() -> torch.Tensor:
        with torch.inference_mode():
            return heads.tight_scores(texts, frames, mask)

    difference = float((together()[:LOOP_TEXTS] - pairwise()).abs().max())
    ours, loop = paired(together, pairwise, repeats=3, warm=False)
    whole = [seconds * TEXTS / LOOP_TEXTS for seconds in loop]
    found = report(ours, whole, "the released computation in a loop over pairs")
    return found | {"largest_difference": difference, "pairs": TEXTS * CLIPS}
