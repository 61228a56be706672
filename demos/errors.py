"""What went wrong, in Chinese: the sentences that `core` and `demos` raise, by their English wording.

A {} stands for a value, as in the f-string that made the sentence; a test finds every sentence that is missing here.
"""

import re
from functools import cache

CHINESE: dict[str, str] = {
    "There is no picture yet: upload one, take one, or pick an example.": "还没有图片：请上传、拍摄或选择一个示例。",
    "This file is not a picture that can be read ({}).": "该文件不是可读取的图片（{}）。",
    "There is no file {}.": "没有文件 {}。",
    "{} is a folder, not a picture.": "{} 是文件夹，不是图片。",
    "This picture is damaged or cut off: its pixels cannot be read.": "图片已损坏或不完整：无法读取像素。",
    "This picture has more than {} million pixels; make it smaller first.": "图片超过 {} 百万像素，请先缩小。",
    "This picture holds values that are not numbers.": "图片中含有非数值。",
    "Give at most {} pictures at once; these are {}.": "一次最多 {} 张图片；这里有 {} 张。",
    "Give at most {} pictures here; these are {}.": "这里最多 {} 张图片；现有 {} 张。",
    "Give at most {} pictures here; these are {}. The command line takes more.": (
        "这里最多 {} 张图片；现有 {} 张。命令行可以处理更多。"
    ),
    "This file is larger than {} MB.": "该文件大于 {} MB。",
    "{} is neither a folder nor a zip file that can be read.": "{} 既不是文件夹，也不是可读取的 zip 文件。",
    "This file cannot be unpacked: it is damaged or has a password.": "该文件无法解压：已损坏或有密码。",
    "{}: {}": "{}：{}",
    "Write at least one label, for example: dog, cat, car": "请至少写一个标签，例如：dog, cat, car",
    "Write at least one label.": "请至少写一个标签。",
    "Write the label to add.": "请写出要加入的标签。",
    "Write a word to paint.": "请写一个要贴上的词。",
    "Give at most {} labels; these are {}.": "最多 {} 个标签；现有 {} 个。",
    "Write at least one template, for example: a photo of a {}.": "请至少写一个模板，例如：a photo of a {}.",
    "Each template needs {} exactly once, where the label goes; this one has not: {}": (
        "每个模板须恰好含有一次 {}，用于填入标签；这个不符：{}"
    ),
    "Give at least one picture and one caption.": "请至少给出一张图片和一条文字。",
    "Give the scene a number, for example 3.": "请给出场景编号，例如 3。",
    "Upload pictures or a zip of them first.": "请先上传图片或图片的 zip 文件。",
    "This architecture has no gradient map here; use occlusion.": "该结构没有梯度图，请使用遮挡图。",
    "Only the listed models can be used here.": "这里只能使用列出的模型。",
    "{}; it is not on this computer yet, and is downloaded only on request.": "{}；本机尚无，仅在您要求时才下载。",
    "Unknown weights {}; there are {}, hf-hub:NAME, or a file.": "未知的权重 {}；可用：{}、hf-hub:NAME 或文件。",
    "Unknown system {}; there are: {}.": "未知的系统 {}；可用：{}。",
    "The file {} is missing; check the project out again.": "缺少文件 {}；请重新检出项目。",
    "{} holds no named tensors.": "{} 中没有命名张量。",
    "{} is not a file of weights: wanted safetensors or a plain state dict, without code in it.": (
        "{} 不是权重文件：应为 safetensors 或不含代码的 state dict。"
    ),
    "{} is not a configuration of open_clip.": "{} 不是 open_clip 的配置文件。",
    "{} is not a CLIP in OpenAI's key layout.": "{} 不是 OpenAI 键名布局的 CLIP。",
    "wanted a CLIP in OpenAI's key layout, got a file without {}": "需要 OpenAI 键名布局的 CLIP，该文件缺少 {}",
    "These tensors do not fit the model: {}": "这些张量与模型不符：{}",
    "This CLIP has a tokenizer of its own: put {} beside its weights.": (
        "该 CLIP 有自己的分词器：请把 {} 放在权重旁边。"
    ),
    "Its text tower is a model of another library; only open_clip's own towers can be opened.": (
        "其文本塔来自其他库；只能打开 open_clip 自己的文本塔。"
    ),
    "The device {} is not there; this machine has: {}.": "没有设备 {}；本机有：{}。",
    "The hub has no {} in {}; check the name.": "模型库的 {1} 中没有 {0}，请检查名称。",
    "The hub answers {} for {}: check the name, and whether its licence must be accepted there.": (
        "模型库对 {1} 返回 {0}：请检查名称，以及是否须先在那里接受许可。"
    ),
    "{} cannot be kept in {}: {}.": "{} 无法保存到 {}：{}。",
    "The hub cannot be reached, or went away (what arrived is kept): try again, choose an embedded model, or "
    "put {} of {} into {} by hand.": (
        "无法连接模型库，或连接中断（已下载的部分会保留）：请重试、选择内置模型，或手动把 {1} 的 {0} 放入 {2}。"
    ),
    "{} does not answer as a model hub does: check HF_ENDPOINT, and whether the network has a log-in.": (
        "{} 的回应不像模型库：请检查 HF_ENDPOINT，以及网络是否需要登录。"
    ),
    "{} arrived damaged and was removed; download it again.": "{} 下载后已损坏并被删除，请重新下载。",
    "The hub gives no sha256 for {}, so it was removed unused.": "模型库没有给出 {} 的 sha256，因此已删除、未使用。",
}


def translate(sentence: str, language: str) -> str:
    """Return an error's sentence in the user's language, sentences within it too; one not listed stays as it is."""
    if language != "zh":
        return sentence
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(sentence):
            return chinese.format(*(translate(value, language) for value in found.groups()))
    return sentence


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the sentences as patterns, those with the most fixed text first."""
    by_length = sorted(CHINESE, key=lambda english: -len(english))
    return tuple(
        (re.compile(re.escape(english).replace(r"\{\}", "(.*?)"), re.DOTALL), CHINESE[english]) for english in by_length
    )
