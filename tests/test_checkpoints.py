"""Weights: what is listed is true, nothing is downloaded unasked, what arrives is checked, no file can run code."""

import json
import shutil
import zipfile

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save, save_file
from torch import nn

from core import checkpoints, registry
from core.backbones.clip_model import ClipSize, build
from core.checkpoints import CONFIG_FILE, TOKENIZER_FILES, WEIGHTS_FILE, NeedsDownload
from core.weights import DATACOMP
from tests.hub import serving, small_clip

REFERENCE = "ViT-B-32-quickgelu/openai"
REPO = "timm/vit_base_patch32_clip_224.openai"
REMOTE = f"{REPO}/{WEIGHTS_FILE}"
PUBLISHED = [weights for weights in checkpoints.WEIGHTS if weights.architecture]
PICTURE = np.full((40, 50, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def published() -> bytes:
    """Return a small CLIP in the key layout of the published files."""
    return save(small_clip().state_dict())


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serving(monkeypatch, str(tmp_path / "weights")) as hub:
        yield hub


# Cards


def test_a_fresh_start_uses_embedded_weights():
    assert checkpoints.resolve("clip").name == checkpoints.default("clip") == "toybox-resnet"
    assert checkpoints.resolve("clip").embedded


def test_every_name_resolves_to_its_own_card():
    names = checkpoints.names("clip")
    assert len(set(names)) == len(names) >= 10
    assert [checkpoints.resolve("clip", name).name for name in names] == list(names)


@pytest.mark.parametrize("model", ["ViT-B-32", "RN50", "RN101", "ViT-B-16"])
def test_openais_tags_mean_quickgelu_however_they_are_spelled(model):
    for name in (f"{model}/openai", f"{model}-quickgelu/openai"):
        card = checkpoints.resolve("clip", name)
        assert card.name == f"{model}-quickgelu/openai"
        assert open_clip.get_model_config(card.architecture)["quick_gelu"] is True


@pytest.mark.parametrize("weights", PUBLISHED, ids=lambda weights: weights.name)
def test_a_published_card_names_the_repository_that_open_clip_names(weights):
    architecture, tag = weights.name.split("/")
    assert architecture == weights.architecture
    assert open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"] == f"{weights.repo}/"
    asks = "hf_tokenizer_name" in open_clip.get_model_config(architecture)["text_cfg"]
    assert weights.tokenizer == asks


@pytest.mark.parametrize("weights", PUBLISHED, ids=lambda weights: weights.name)
def test_a_published_card_counts_the_parameters_that_the_architecture_has(weights):
    config = open_clip.get_model_config(weights.architecture)
    make = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.device("meta"):
        model = make(**config)
    assert sum(parameter.numel() for parameter in model.parameters()) == weights.parameters
    assert weights.size_bytes == 4 * weights.parameters


def test_our_own_vit_b_32_has_the_published_number_of_parameters():
    size = ClipSize(embed_dim=512, image_size=224, vision_layers=12, vision_width=768, patch_size=32)
    with torch.device("meta"):
        model = build(size)
    assert sum(parameter.numel() for parameter in model.parameters()) == 151_277_313  # openai/CLIP README


@pytest.mark.parametrize("weights", checkpoints.WEIGHTS, ids=lambda weights: weights.name)
def test_size_and_licence_are_told_before_any_download(weights, hub):
    said = weights.describe()
    assert weights.licence in said
    assert "MB" in said or not weights.parameters
    assert not hub.asked


def test_what_was_recorded_in_training_stands_on_the_card(tmp_path):
    path = tmp_path / "own.safetensors"
    weights = checkpoints.Weights(name="own", system="clip", path=path)
    assert weights.card() == {}
    path.with_suffix(".json").write_text('{"metrics": {"toy_top1": 0.5}}')
    assert weights.card()["metrics"]["toy_top1"] == 0.5


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ViT-B-32", "Unknown weights"),
        ("hf-hub:no-organisation", "Unknown weights"),
        ("hf-hub:../../etc", "Unknown weights"),
        ("hf-hub:a/b/c", "Unknown weights"),
        ("nowhere/here.safetensors", "There is no file"),
        ("nowhere.pt", "There is no file"),
    ],
)
def test_an_unknown_name_is_refused_in_one_sentence(name, says):
    with pytest.raises(ValueError, match=says) as caught:
        checkpoints.resolve("clip", name)
    assert "\n" not in str(caught.value)


# From the hub to an answer


def activations(model: nn.Module) -> set[type]:
    return {type(module) for module in model.modules() if isinstance(module, (nn.GELU, QuickGELU))}


def test_openais_clip_goes_from_the_hub_to_the_answer_that_open_clip_gives(hub, published):
    hub.files[REMOTE] = published
    model = registry.load("clip", "ViT-B-32/openai", download=True)
    assert activations(model.backbone.model) == {QuickGELU}
    assert model.licence == "MIT"
    labels = ["a dog", "a cat on a mat"]
    ours = model.rank(PICTURE, labels)
    theirs = small_clip()
    with torch.inference_mode():
        image = theirs.encode_image(model.backbone.preprocess(PICTURE)[None], normalize=True)
        texts = theirs.encode_text(open_clip.get_tokenizer("ViT-B-32")(labels), normalize=True)
    assert ours.cosines == pytest.approx((texts @ image[0]).numpy(), abs=1e-5)
    assert ours.kind == "softmax"


def test_those_who_came_after_openai_get_plain_gelu(hub):
    hub.files[f"{DATACOMP}/{WEIGHTS_FILE}"] = save(small_clip(1, quick_gelu=False).state_dict())
    model = registry.load("clip", "ViT-B-32-256/datacomp_s34b_b86k", download=True)
    assert activations(model.backbone.model) == {nn.GELU}


SIGLIP = {
    "embed_dim": 64,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 8,
        "vocab_size": 8,
        "hf_tokenizer_name": "timm/not-fetched-by-this-name",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 64,
        "heads": 1,
        "layers": 1,
        "no_causal_mask": True,
        "pool_type": "last",
    },
}


TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {
        "type": "WordLevel",
        "unk_token": "<unk>",
        "vocab": {"<pad>": 0, "<unk>": 1, "</s>": 2, "dog": 3, "cat": 4},
    },
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "eos_token": "</s>",
}


def siglip_files(repo: str) -> dict[str, bytes]:
    """Return the files of a small SigLIP 2 as its repository holds them."""
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**{key: value for key, value in SIGLIP.items() if key != "custom_text"})
    texts = {
        CONFIG_FILE: {"model_cfg": SIGLIP, "preprocess_cfg": preprocess},
        TOKENIZER_FILES[0]: TOKENIZER,
        TOKENIZER_FILES[1]: TOKENIZER_CONFIG,
    }
    files = {name: json.dumps(text).encode() for name, text in texts.items()}
    files[WEIGHTS_FILE] = save(model.state_dict())
    return {f"{repo}/{name}": data for name, data in files.items()}


def test_any_repository_of_open_clips_brings_its_configuration_and_tokenizer(hub):
    hub.files = siglip_files("org/siglip")
    hub.plain = {f"org/siglip/{CONFIG_FILE}", f"org/siglip/{TOKENIZER_FILES[1]}"}
    with pytest.raises(NeedsDownload, match="a size that the hub will tell"):
        registry.load("clip", "hf-hub:org/siglip")
    model = registry.load("clip", "hf-hub:org/siglip", download=True)
    ranking = model.rank(PICTURE, ["dog", "cat"])
    assert ranking.kind == "sigmoid"
    assert ranking.logit_bias == pytest.approx(-10)
    assert model.crop_box(PICTURE) == (0, 0, 50, 40)  # squashed, not cut
    assert checkpoints.resolve("clip", "hf-hub:org/siglip").available


def test_a_file_with_its_configuration_beside_it_opens_like_the_repository(hub, tmp_path):
    for name, data in siglip_files("org/siglip").items():
        (tmp_path / name.rpartition("/")[2]).write_bytes(data)
    own = str(tmp_path / WEIGHTS_FILE)
    assert registry.load("clip", own).rank(PICTURE, ["dog"]).kind == "sigmoid"
    (tmp_path / TOKENIZER_FILES[0]).unlink()
    own = shutil.copy(own, tmp_path / "again.safetensors")
    with pytest.raises(ValueError, match=r"put tokenizer\.json"):
        registry.load("clip", str(own))
    assert not hub.asked


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"{}", "not a configuration"),
        (b"<html>", "not a configuration"),
        (
            b'{"model_cfg": {"text_cfg": {"hf_model_name": "xlm-roberta-base"}}}',
            "only open_clip's own towers",
        ),
    ],
)
def test_what_cannot_be_opened_is_known_before_the_large_file_is_downloaded(hub, published, config, says):
    hub.files = {f"org/other/{CONFIG_FILE}": config, f"org/other/{WEIGHTS_FILE}": published}
    hub.plain = {f"org/other/{CONFIG_FILE}"}
    with pytest.raises(ValueError, match=says):
        registry.load("clip", "hf-hub:org/other", download=True)
    assert not hub.gets(f"org/other/{WEIGHTS_FILE}")


# Reading


class Bomb:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_safetensors_and_state_dicts_are_read(tmp_path):
    tensors = {"a": torch.arange(3), "b": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "a.SAFETENSORS")
    torch.save(tensors, tmp_path / "a.pt")
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": t for key, t in tensors.items()}}, tmp_path / "b.pt")
    for name in ("a.SAFETENSORS", "a.pt", "b.pt"):
        found = checkpoints.read_tensors(tmp_path / name)
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def torchscript(path) -> None:
    torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(path))


def zipped_text(path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("empty.pt", lambda path: path.write_bytes(b"")),
        ("empty.safetensors", lambda path: path.write_bytes(b"")),
        ("text.pt", lambda path: path.write_text("not weights")),
        (
            "text.safetensors",
            lambda path: path.write_text("not weights at all, but long enough for a header"),
        ),
        ("text.txt", lambda path: path.write_text("not weights")),
        ("noise.pt", lambda path: path.write_bytes(np.random.default_rng(0).bytes(2000))),
        ("old_pickle.pt", lambda path: path.write_bytes(b"\x80\x02c__builtin__\nprint\nU\x02hiR.")),
        ("zip.pt", zipped_text),
        ("script.pt", torchscript),
        ("code.pt", lambda path: torch.save({"a": Bomb()}, path)),
        ("model.pt", lambda path: torch.save(nn.Linear(2, 2), path)),
        ("numbers.pt", lambda path: torch.save({"a": 1}, path)),
        ("list.pt", lambda path: torch.save([torch.ones(2)], path)),
        ("nameless.pt", lambda path: torch.save({1: torch.ones(2)}, path)),
        ("nothing.pt", lambda path: torch.save({}, path)),
    ],
)
def test_what_is_no_file_of_weights_is_refused_in_one_sentence_and_runs_nothing(tmp_path, name, write, capsys):
    path = tmp_path / name
    write(path)
    with pytest.raises(ValueError, match=r"is not a file of weights|holds no named tensors") as caught:
        checkpoints.read_tensors(path)
    assert "\n" not in str(caught.value)
    assert "never be printed" not in capsys.readouterr().out


def test_a_cut_off_file_is_refused(tmp_path, published):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(published[: len(published) // 2])
    with pytest.raises(ValueError, match="is not a file of weights"):
        registry.load("clip", str(path))


def test_tensors_that_are_no_clip_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="key layout") as caught:
        registry.load("clip", str(path))
    assert "\n" not in str(caught.value)


def test_a_finished_run_is_listed_and_a_broken_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIP_FAMILY_RUNS", str(tmp_path))
    for name, state in (("mine", "finished"), ("half", "running")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.safetensors").write_bytes(b"x")
        status = {"state": state, "system": "clip", "weights": "../../a.safetensors", "recipe": "clip"}
        (tmp_path / name / "status.json").write_text(json.dumps(status))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "status.json").write_text("{")
    assert [name for name in checkpoints.names("clip") if name.startswith("run/")] == ["run/mine"]
    assert checkpoints.resolve("clip", "run/mine").path == (tmp_path / "mine" / "a.safetensors").resolve()
    assert "run/mine" not in checkpoints.names("clip4clip")
    assert checkpoints.resolve("clip", "run/mine").small


def test_a_run_says_what_its_weights_are_good_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIP_FAMILY_RUNS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.safetensors").write_bytes(b"x")
    status = {"state": "finished", "system": "glip", "weights": "a.safetensors", "recipe": "glip-prompt", "use": "cats"}
    (tmp_path / "mine" / "status.json").write_text(json.dumps(status))
    assert checkpoints.resolve("glip", "run/mine").note == "trained here by glip-prompt: cats"


def test_embedded_files_are_small_and_those_that_are_not_here_are_not():
    assert all(weights.small == weights.embedded for weights in checkpoints.WEIGHTS)
