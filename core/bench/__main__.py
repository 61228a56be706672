"""`python -m core.bench [NAME] [--json]`: how much faster, as a ratio measured in one run against a named alternative.

A speed-up is the alternative's time over ours, unless the benchmark says otherwise.
"""

import argparse
import importlib
import json

BENCHES: dict[str, str] = {  # name: module:function
    "zero_shot_cold": "core.bench.clip:zero_shot_cold",
    "zero_shot_warm": "core.bench.clip:zero_shot_warm",
    "bulk_images": "core.bench.clip:bulk_images",
    "start": "core.bench.clip:start",
    "projection": "core.bench.point_cloud:projection",
    "scan": "core.bench.point_cloud:scan",
    "rasteriser": "core.bench.sketch:rasteriser",
    "drawing_share": "core.bench.sketch_step:drawing_share",
    "indexing": "core.bench.video:indexing",
    "moment_query": "core.bench.video:moment_query",
    "moment_query_growth": "core.bench.video:moment_query_growth",
    "tight_head": "core.bench.clip4clip:tight_head",
    "frame_features": "core.bench.action:frame_features",
    "lseg_single_scale": "core.bench.lseg:lseg_single_scale",
    "regions": "core.bench.regions:bench_regions",
    "groupvit_new_words": "core.bench.groupvit:groupvit_new_words",
    "vild_heads": "core.bench.vild:vild_heads",
    "vild_crops": "core.bench.vild:vild_crops",
    "vild_new_words": "core.bench.vild:vild_new_words",
    "glip_picture": "core.bench.glip:glip_picture",
    "glip_few_tokens": "core.bench.glip:glip_few_tokens",
    "glip_new_words": "core.bench.glip:glip_new_words",
    "training": "core.bench.training:training",
    "adapter": "core.bench.training:adapter",
    "heads": "core.bench.training:heads",
    "lseg_new_words": "core.bench.lseg:lseg_new_words",
}


def main() -> None:
    """Run one benchmark or all of them."""
    parser = argparse.ArgumentParser(prog="python -m core.bench", description="Ratios against named alternatives.")
    parser.add_argument("name", nargs="?", choices=BENCHES, help="default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    chosen = [arguments.name] if arguments.name else list(BENCHES)
    found = {}
    for name in chosen:
        module, function = BENCHES[name].split(":")
        found[name] = getattr(importlib.import_module(module), function)()
        if not arguments.json:
            print(f"{name}: {found[name]['ratio']:.2f} ({found[name]['alternative']})")
    if arguments.json:
        print(json.dumps(found if len(chosen) > 1 else {"name": chosen[0], **found[chosen[0]]}))


if __name__ == "__main__":
    main()
