"""What weights there are, as plain facts: how large, from where, under which licence.

core/checkpoints.py makes its cards of them. The first of a system are those that a fresh start uses.
"""

from typing import Any

Facts = dict[str, Any]
TRANSFORMERS_FILE = "model.safetensors"


def _embedded(name: str, note: str, system: str = "clip") -> Facts:
    """Return the facts of weights that ship with this project."""
    return {"name": name, "system": system, "embedded": True, "licence": "Apache-2.0", "note": note}


def _clip(name: str, repo: str, parameters: int, licence: str, top1: float, note: str = "") -> Facts:
    """Return the card of a published CLIP, named ARCHITECTURE/TAG as open_clip does."""
    return {
        "name": name,
        "system": "clip",
        "architecture": name.partition("/")[0],
        "repo": repo,
        "parameters": parameters,
        "licence": licence,
        "imagenet_top1": top1,
        "note": note,
        "tokenizer": "SigLIP" in name,
    }


def _sam(size: str, file: str, parameters: int, sha256: str) -> Facts:
    """Return the card of one of the authors' SAM files."""
    return {
        "name": f"sam_vit_{size}/meta",
        "system": "sam",
        "url": f"https://dl.fbaipublicfiles.com/segment_anything/{file}",
        "filename": file,
        "parameters": parameters,
        "sha256": sha256,
        "licence": "Apache-2.0",
        "note": "trained on the 1.1 billion masks of SA-1B",
    }


def _groupvit(tag: str, note: str) -> Facts:
    return {
        "name": f"groupvit-gcc-{tag}/nvidia",
        "system": "groupvit",
        "repo": f"nvidia/groupvit-gcc-{tag}",
        "filename": TRANSFORMERS_FILE,
        "parameters": 55_726_609,
        "licence": "NVIDIA Source Code License (research only, non-commercial)",
        "note": note,
    }


BERT_FACTS: Facts = {  # which words BERT has tokens for; one a line
    "name": "bert-base-uncased/words",
    "system": "glip",
    "repo": "google-bert/bert-base-uncased",
    "config_files": ("vocab.txt",),
    "licence": "Apache-2.0",
}


def _glip(letter: str, filename: str, file_bytes: int | None, note: str) -> Facts:
    """Return the facts of one of the authors' GLIP-T files, which hold the optimiser's numbers too."""
    return {
        "name": f"glip-tiny-{letter}/GLIPModel",
        "system": "glip",
        "repo": "GLIPModel/GLIP",
        "filename": filename,
        "file_bytes": file_bytes,
        "licence": "MIT",
        "note": note,
        "companions": (BERT_FACTS,),
    }


def _relative(name: str, repo: str, parameters: int, licence: str, note: str, *tokenizer: str) -> Facts:
    """Return the facts of a detector that came after GLIP, opened through transformers."""
    return {
        "name": name,
        "system": "glip",
        "repo": repo,
        "filename": TRANSFORMERS_FILE,
        "config_files": ("config.json", "preprocessor_config.json", *tokenizer),
        "parameters": parameters,
        "licence": licence,
        "note": note,
    }


APPLE = "Apple research terms (non-commercial)"
SIGLIP = "sigmoid scores, many languages"
SAM_B = "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
SAM_L = "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
SAM_H = "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"
DATACOMP = "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K"

# ImageNet figures: open_clip docs/openclip_results.csv, MobileCLIP and PE READMEs. Parameters: counted by a test.
FACTS: tuple[Facts, ...] = (
    _embedded("toybox-resnet", "ModifiedResNet trained here on the Toybox and CIFAR-10"),
    _embedded("toybox-vit", "ViT trained here on the Toybox and CIFAR-10, taught by toybox-resnet"),
    _embedded("toybox-clip4clip", "four heads and a text tower trained here over toybox-resnet", "clip4clip"),
    {
        "name": "clip4clip-webvid150k/Searchium-ai",
        "system": "clip4clip",
        "repo": "Searchium-ai/clip4clip-webvid150k",
        "filename": TRANSFORMERS_FILE,
        "parameters": 151_277_313,
        "note": "meanP on ViT-B/32, trained on 150,000 clips of WebVid",
    },
    _embedded("toybox-actionclip", "every head and a text tower trained here over toybox-resnet", "actionclip"),
    {
        "name": "xclip-base-patch32/microsoft",
        "system": "actionclip",
        "repo": "microsoft/xclip-base-patch32",
        "filename": TRANSFORMERS_FILE,
        "licence": "MIT",
        "note": "X-CLIP, a relative whose frames exchange messages; Kinetics-400",
    },
    _embedded("toybox-lseg", "trained here on Toybox masks of base things, over toybox-resnet's words", "lseg"),
    _embedded("toybox-groupvit", "trained here on Toybox captions, no mask ever seen", "groupvit"),
    _embedded("toybox-vild", "trained here on Toybox boxes of base things, taught by toybox-resnet", "vild"),
    _embedded("toybox-glip", "trained here on Toybox boxes of base things, class lists and captions", "glip"),
    _glip("t", "glip_tiny_model_o365_goldg_cc_sbu.pth", 3_710_104_213, "GLIP-T; a slim copy of 0.46 GB is kept"),
    _glip("c", "glip_tiny_model_o365_goldg.pth", 3_710_104_213, "GLIP-T (C)"),
    _glip("b", "glip_tiny_model_o365.pth", None, "GLIP-T (B)"),
    _glip("a", "glip_a_tiny_o365.pth", 2_430_000_000, "GLIP-T (A), without fusion"),
    _relative(
        "grounding-dino-tiny/IDEA-Research",
        "IDEA-Research/grounding-dino-tiny",
        172_250_626,
        "Apache-2.0",
        "a relative, not GLIP",
        "tokenizer.json",
    ),
    _relative(
        "mm-grounding-dino-tiny/openmmlab",
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
        172_250_628,
        "unknown: see where the file came from",
        "a relative, not GLIP",
        "tokenizer.json",
    ),
    _relative(
        "owlv2-base-ensemble/google",
        "google/owlv2-base-patch16-ensemble",
        154_966_792,
        "Apache-2.0",
        "a relative, not GLIP; lists only",
    ),
    _groupvit("yfcc", "trained on captions of CC12M and YFCC14M"),
    _groupvit("redcaps", "trained on captions of CC12M and RedCaps"),
    _embedded("toybox-sam", "trained here on the Toybox's regions", "sam"),
    _sam("b", "sam_vit_b_01ec64.pth", 93_735_472, SAM_B),
    _sam("l", "sam_vit_l_0b3195.pth", 312_342_832, SAM_L),
    _sam("h", "sam_vit_h_4b8939.pth", 641_090_608, SAM_H),
    _embedded("toybox-places", "toybox-resnet, which went on to hear how far places are", "depthclip"),
    _clip(
        "ViT-B-32-quickgelu/openai",
        "timm/vit_base_patch32_clip_224.openai",
        151_277_313,
        "MIT",
        63.3,
        "the reference",
    ),
    _clip("RN50-quickgelu/openai", "timm/resnet50_clip.openai", 102_007_137, "MIT", 59.8),
    _clip("RN101-quickgelu/openai", "timm/resnet101_clip.openai", 119_688_033, "MIT", 62.3),
    _clip(
        "ViT-B-16-quickgelu/openai",
        "timm/vit_base_patch16_clip_224.openai",
        149_620_737,
        "MIT",
        68.3,
        "finer patches",
    ),
    _clip(
        "PE-Core-S-16-384/meta",
        "timm/PE-Core-S-16-384",
        87_188_225,
        "Apache-2.0",
        72.7,
        "best small one with a free licence",
    ),
    _clip("MobileCLIP2-S0/dfndr2b", "timm/MobileCLIP2-S0-OpenCLIP", 74_835_073, APPLE, 71.5, "fastest"),
    _clip("ViT-B-32-256/datacomp_s34b_b86k", DATACOMP, 151_288_833, "MIT", 72.8),
    _clip("ViT-B-32-SigLIP2-256/webli", "timm/ViT-B-32-SigLIP2-256", 376_856_066, "Apache-2.0", 74.0, SIGLIP),
)
