"""What went wrong, in Chinese: the sentences that `core` and `demos` raise, by their English wording.

A {} stands for a value, as in the f-string that made the sentence; a test finds every sentence that is missing here.
"""

import re
from functools import cache

from demos import text_action, text_detection, text_segmentation, text_sketch, text_training, text_video

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
    "There is no few-shot curve for these weights; the embedded ResNet has one.": (
        "这些权重没有少样本曲线；内置 ResNet 有。"
    ),
    "{} has no sha256 to check it by, so it is not downloaded.": "{} 没有可供校验的 sha256，因此不下载。",
    "{} cannot be reached, or its server went away (what arrived is kept): try again, choose an embedded model, or put "
    "it into {} by hand.": "无法获取 {}，或服务器已断开（已下载部分保留）：请重试、选择内置模型，或手动放入 {}。",
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
    "Estimate a picture's depth first.": "请先估计一张图片的深度。",
    "Give the scene a number from 0 to {}, for example 3.": "请给出 0 到 {} 之间的场景编号，例如 3。",
    "Draw a Toybox scene first: only of those the true depth is known.": (
        "请先绘制玩具场景：只有它的真实深度是已知的。"
    ),
    "Name two different words of the list that was asked.": "请写出提问所用词表中的两个不同的词。",
    "Write from {} to {} words about distance; these are {}.": "请写 {} 到 {} 个关于距离的词；现有 {} 个。",
    "Give a distance for each word: there are {} words and {} distances.": (
        "请为每个词给出一个距离：现有 {} 个词、{} 个距离。"
    ),
    "Each distance is a number of metres from {} to {}; this one is not: {}": (
        "每个距离须是 {} 到 {} 之间的米数；这个不是：{}"
    ),
    "This model is neither a CLIP ResNet nor a plain ViT: it has no places to ask.": (
        "该模型既不是 CLIP ResNet 也不是普通 ViT，无法逐处提问。"
    ),
    "This is not a 3D file that can be read; wanted one of {}.": "这不是可读取的三维文件；应为以下之一：{}。",
    "This file is empty.": "该文件是空的。",
    "{} is a folder, not a 3D file.": "{} 是文件夹，不是三维文件。",
    "This file cannot be read from the disk.": "无法从磁盘读取该文件。",
    "This file holds no points.": "该文件中没有点。",
    "This file has more than {} million points; make it smaller first.": "该文件超过 {} 百万个点，请先缩小。",
    "This file holds points that are not numbers (NaN or infinity).": "该文件中有非数值的点（NaN 或无穷大）。",
    "All points of this file lie in one place: there is no shape to see.": "该文件的所有点都在同一处：没有形状可看。",
    "This file is not {}, or is damaged or cut off.": "该文件不是 {}，或已损坏、不完整。",
    "This file is not PCD, or is damaged or cut off.": "该文件不是 PCD，或已损坏、不完整。",
    "This PCD file is binary; save it as ASCII first.": "该 PCD 文件是二进制的，请先存为 ASCII。",
    "This PCD file has no fields x, y and z.": "该 PCD 文件没有 x、y、z 字段。",
    "{} is an adapter without the card beside it that says for which CLIP.": (
        "{} 是适配器，但旁边没有说明其 CLIP 的卡片。"
    ),
    "This PLY file has no fields x, y and z.": "该 PLY 文件没有 x、y、z 字段。",
    "This file is not NPY with plain numbers, or is damaged or cut off.": (
        "该文件不是纯数值的 NPY，或已损坏、不完整。"
    ),
    "This NPY file is not a table of points: wanted numbers in the shape (points, 3 or more).": (
        "该 NPY 文件不是点的表格：应为形状（点数，3 或更多）的数值。"
    ),
    "This file is not {}: wanted numbers for x, y and z in every line.": "该文件不是 {}：每行应有 x、y、z 的数值。",
    "These tensors are not an inter-view adapter's: wanted fusion_ratio, global_f, view_f.": (
        "这些张量不是视角间适配器的：应有 fusion_ratio、global_f、view_f。"
    ),
    "There is no few-shot adapter here: open one with the weights, or classify without it.": (
        "这里没有少样本适配器：请随权重一起打开，或不用它来分类。"
    ),
    "Give at least one cloud of points.": "请至少给出一个点云。",
    "This cloud has no points.": "该点云没有点。",
    "Give at least one side a weight above 0.": "请至少给一个视角大于 0 的权重。",
    "Upload a file, or give the Toybox thing a number, for example 3.": "请上传文件，或给出玩具物体的编号，例如 3。",
    "Box {} has no area inside the picture: there is nothing to score.": "框 {} 在图片内没有面积：无可评分。",
    "Mask {} is empty: there is nothing to score.": "掩码 {} 为空：无可评分。",
    "The mode {} needs masks; boxes alone can be scored with {}.": "模式 {} 需要掩码；仅有框时可用 {}。",
    "This answer has no maps from before: nothing was done to them.": "该回答没有处理前的图：并未做任何处理。",
    "Write at least one word.": "请至少写一个词。",
    "{} is not a file of weights: wanted safetensors, a Lightning file or a state dict.": (
        "{} 不是权重文件：应为 safetensors、Lightning 文件或 state dict。"
    ),
    "{} is not an LSeg: its tensors are named otherwise.": "{} 不是 LSeg：其张量名称不同。",
    "These weights have no kernel for the blocks {}; they have: {}.": "这些权重没有用于 {} 块的卷积核；现有：{}。",
    "There is no mask: nothing was found.": "没有掩码：什么也没找到。",
    "Click inside the picture: ({}, {}) is outside {} x {} pixels.": "请在图片内点击：({}, {}) 在 {} x {} 像素之外。",
    "The box has no area inside the picture: click two opposite corners of it.": (
        "该框在图片内没有面积：请点击两个对角。"
    ),
    "The mask is empty: there is no box around it.": "掩码为空：没有外接框。",
    "The mask is empty: there is no point inside it.": "掩码为空：其中没有点。",
    "These masks carry no logits: they cannot be cut at another threshold.": (
        "这些掩码不带 logits：无法按其他阈值切分。"
    ),
    "Write at least one word to look for.": "请至少写一个要找的词。",
    "The file is a SAM whose tensors do not fit together: {}": "该文件是 SAM，但其张量互不匹配：{}",
}

for tab in (text_segmentation, text_detection, text_video, text_action, text_sketch, text_training):
    CHINESE |= tab.COMPLAINTS


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
