"""Every word of the interface, English and Chinese.

Static text goes through gr.I18n, which follows the browser's language; text made in Python goes through `say`, which
takes the language that `language_of` read from the same browser.
"""

from typing import Any

import gradio as gr

from demos import text_action, text_depth, text_detection, text_point_cloud, text_segmentation, text_sketch, text_video

LANGUAGES = ("en", "zh")
CHINESE_LOCALES = ("zh", "zh-CN", "zh-TW", "zh-HK")

WORDS: dict[str, tuple[str, str]] = {
    "heading": (
        "# The CLIP Family\nSee, use, measure and teach CLIP, offline, with small networks trained here.",
        "# CLIP 家族\n离线观察、使用、测量和讲授 CLIP，所用的小型网络由本项目训练。",
    ),
    "zero_shot": ("Zero-shot", "零样本分类"),
    "point_cloud": ("Point cloud", "点云"),
    "depth": ("Depth", "深度"),
    "picture": ("Picture", "图片"),
    "labels": ("Labels, with commas between", "标签（用逗号分隔）"),
    "classify": ("Classify", "分类"),
    "toybox_seed": ("Toybox scene", "玩具场景"),
    "toybox_look": ("Look", "画风"),
    "toybox_draw": ("Draw it", "绘制"),
    "examples": ("Examples, answered without a model", "示例（无需模型即可回答）"),
    "weights": ("Model", "模型"),
    "download": ("Download these weights", "下载该权重"),
    "settings": ("Model and paper", "模型与论文"),
    "answer": ("Answer", "答案"),
    "temperature": ("Temperature", "温度"),
    "none_of_these": ("Add “none of these”", "加入“以上都不是”"),
    "guess_first": ("Guess first", "先猜后看"),
    "reveal": ("What do you expect? Then open the answer.", "您预期什么？想好再打开答案。"),
    "none_label": ("none of these", "以上都不是"),
    "distractor": ("Add one more label", "再加一个标签"),
    "add": ("Add and compare", "加入并比较"),
    "score_curve": ("Show how temperature changes the probabilities", "显示温度如何改变概率"),
    "axis_temperature": ("temperature", "温度"),
    "curve_title": ("Probability against temperature", "概率随温度的变化"),
    "prompt_lab": ("Prompt lab", "提示词实验室"),
    "templates": ("Templates, one a line; {} is where the label goes", "模板，每行一个；{} 处填入标签"),
    "fill_from": ("Fill in", "填入"),
    "each_prompt": ("Score each prompt", "给每条提示词打分"),
    "each_set": ("Compare the sets", "比较各组"),
    "set_title": (
        "Probability with each set of prompts, averaged as the paper does",
        "各组提示词的概率（按论文平均）",
    ),
    "own_set": ("yours", "自定义"),
    "prompt_title": ("Cosine of each single prompt with the picture", "每条提示词与图片的余弦相似度"),
    "look_inside": ("Where did it look", "它在看哪里"),
    "explain": ("Show", "显示"),
    "look_note": (
        "Gradient map on the left, occlusion on the right: what they agree on is what counts.",
        "左为梯度图，右为遮挡图：两者一致之处才可信。",
    ),
    "gradient": ("gradient", "梯度"),
    "occlusion": ("occlusion", "遮挡"),
    "matrix": ("Pairs", "配对矩阵"),
    "matrix_count": ("Pictures and captions", "图片与文字对数"),
    "matrix_files": ("Your own pictures (else Toybox scenes)", "自己的图片（否则使用玩具世界场景）"),
    "matrix_captions": (
        "One caption a line, in the pictures' order (else file names)",
        "每行一条文字，按图片顺序（否则用文件名）",
    ),
    "matrix_run": ("Compare all with all", "全部两两比较"),
    "matrix_title": ("Cosine of every picture with every caption", "每张图片与每条文字的余弦相似度"),
    "matrix_loss": (
        "Contrastive loss of this batch: {loss:.3f}; guessing would give {chance:.3f}. "
        "{right} of {count} pictures find their own caption.",
        "该批的对比损失：{loss:.3f}；随机猜测为 {chance:.3f}。{count} 张图片中有 {right} 张找到自己的文字。",
    ),
    "matrix_unequal": (
        "{count} pictures and {captions} captions: the loss needs as many of each.",
        "{count} 张图片、{captions} 条文字：数量相等才有损失值。",
    ),
    "fail": ("Make it fail", "让它出错"),
    "fail_note": ("Each button changes one thing. Guess first, then press.", "每个按钮只改变一处。先猜，再按。"),
    "typographic": ("Paint a word on it", "贴上一个词"),
    "word": ("Word to paint", "要贴的词"),
    "blank": ("Blank picture", "空白图片"),
    "negation": ("Say “without”", "用“没有”"),
    "counting": ("Count", "数数"),
    "crop": ("Move it to the edge", "移到边缘"),
    "unseen": ("Words it never saw", "它没见过的词"),
    "sides": ("Left or right", "左还是右"),
    "many": ("Many pictures", "批量图片"),
    "files": ("Pictures, or a zip of them", "图片，或含图片的 zip"),
    "folder": ("Choose a folder", "选择文件夹"),
    "run_many": ("Classify all", "全部分类"),
    "table": ("Best label for each picture", "每张图片的最佳标签"),
    "csv": ("Download CSV", "下载 CSV"),
    "as_python": ("As Python", "Python 代码"),
    "code_note": ("These lines give the same numbers.", "以下代码得到相同的数值。"),
    "head_label": ("label", "标签"),
    "head_probability": ("probability", "概率"),
    "head_sigmoid": ("probability, each on its own", "概率（各自独立）"),
    "head_cosine": ("cosine", "余弦"),
    "head_logit": ("logit", "logit"),
    "reading": (
        "logit = {scale:.1f} × cosine{bias} ÷ {temperature:.2g}; {rule}",
        "logit = {scale:.1f} × 余弦{bias} ÷ {temperature:.2g}；{rule}",
    ),
    "rule_softmax": (
        "softmax makes the probabilities of these {count} labels add up to 1.",
        "softmax 使这 {count} 个标签的概率之和为 1。",
    ),
    "rule_sigmoid": ("sigmoid judges each label on its own.", "sigmoid 单独判断每个标签。"),
    "unseen_words": (
        "This small model never saw: {words}. Its score for them means nothing.",
        "这个小模型从未见过：{words}。对它们的分数没有意义。",
    ),
    "one_label": (
        "With a single label softmax always gives 100 %: add another, or “none of these”.",
        "只有一个标签时，softmax 总是给出 100%：请再加一个标签，或加入“以上都不是”。",
    ),
    "cut_labels": (
        "Longer than this model reads, so the end was cut off: {labels}",
        "超出该模型可读的长度，末尾已截断：{labels}",
    ),
    "cost": ("{ms:.0f} ms · {device} · {model} · {licence}", "{ms:.0f} 毫秒 · {device} · {model} · {licence}"),
    "stored": (
        "stored answer of {model}, no model loaded · {licence}",
        "{model} 的预存答案，未加载模型 · {licence}",
    ),
    "nothing_yet": ("Choose a picture and press Classify.", "选择图片，然后按“分类”。"),
    "link": ("Link to this scene", "该场景的链接"),
    "truth": ("True of this scene: {sentences}", "该场景的真实描述：{sentences}"),
    "not_here": ("Not on this computer. {about}", "尚未下载到本机。{about}"),
    "is_here": ("On this computer. {about}", "已在本机。{about}"),
    "accuracy": ("ImageNet zero-shot {value:.1f} %", "ImageNet 零样本 {value:.1f} %"),
    "measured": (
        "Toybox {toy:.0%}, photographs of ten classes {photo:.0%} (measured {date})",
        "玩具世界 {toy:.0%}，十类照片 {photo:.0%}（测于 {date}）",
    ),
    "measured_otherwise": ("{figures} (measured {date})", "{figures}（测于 {date}）"),
    "downloaded": ("Downloaded; the next answer uses it.", "已下载，下次回答将使用它。"),
    "honesty": (
        "Embedded weights: {honesty}. Authors' code: {licence}.",
        "内置权重：{honesty}。作者代码许可：{licence}。",
    ),
    "said_typographic": (
        "“{word}”: {before:.0%} before the word was painted on, {after:.0%} after. "
        "The best label was “{first}” and is now “{now}”.",
        "“{word}”：贴词前 {before:.0%}，贴词后 {after:.0%}。最佳标签原为“{first}”，现为“{now}”。",
    ),
    "said_blank": (
        "Nothing is there, and softmax still gives “{best}” {share:.0%}: it must share out 100 % among the labels.",
        "图中空无一物，softmax 仍给“{best}”{share:.0%}：它必须把 100% 分给这些标签。",
    ),
    "said_negation": (
        "It is there: “with” scores {yes:+.3f}, “without” {no:+.3f}, a difference of {gap:+.3f}. It chose {verdict}.",
        "它在图中：“有”得 {yes:+.3f}，“没有”得 {no:+.3f}，相差 {gap:+.3f}。它选{verdict}。",
    ),
    "said_counting": (
        "There are {true} balls; it says “{best}” ({share:.0%}).",
        "图中有 {true} 个球；它说“{best}”（{share:.0%}）。",
    ),
    "said_crop": (
        "“{label}”: {before:.0%} for the whole picture, {after:.0%} on a wide canvas, of which it sees {seen:.0%}.",
        "“{label}”：原图 {before:.0%}，放在宽画布上 {after:.0%}；网络只看到画布宽度的 {seen:.0%}。",
    ),
    "said_unseen": (
        "“{first}” and “{second}” score {a:+.3f} and {b:+.3f}: words that training never showed all look alike to it.",
        "“{first}”与“{second}”得分 {a:+.3f} 与 {b:+.3f}：训练中从未出现的词对它来说都一样。",
    ),
    "said_unseen_none": (
        "“{first}” {a:+.3f}, “{second}” {b:+.3f}: this model has the whole vocabulary, so the two differ.",
        "“{first}”{a:+.3f}，“{second}”{b:+.3f}：该模型拥有完整词表，两词得分不同。",
    ),
    "said_sides": (
        "True: “{true}” {a:+.3f}. Swapped: {b:+.3f}. It chose {verdict}.",
        "正确：“{true}”{a:+.3f}。对调后：{b:+.3f}。它选{verdict}。",
    ),
    "right": ("the right one", "对了"),
    "wrong": ("the wrong one", "错了"),
    "said_distractor": (
        "One more label, “{added}”: “{best}” went from {before:.1%} to {after:.1%}. Its cosine did not change.",
        "多加一个标签“{added}”：“{best}”从 {before:.1%} 变为 {after:.1%}，其余弦不变。",
    ),
    "said_many": (
        "{done} pictures in {seconds:.1f} s ({rate:.0f} a second); {failed} could not be read.",
        "{done} 张图片用时 {seconds:.1f} 秒（每秒 {rate:.0f} 张）；{failed} 张无法读取。",
    ),
    "sees": ("What it sees", "看到的部分"),
    "sees_at": ("…at its resolution", "……以其分辨率"),
    "keys": (
        "Keys: Alt+1…9 opens a task, Alt+Shift+1…9 a lesson, Alt+R runs it.",
        "快捷键：Alt+1…9 切换任务，Alt+Shift+1…9 切换课程，Alt+R 运行。",
    ),
}
TABS = (text_segmentation, text_detection, text_video, text_action, text_point_cloud, text_depth, text_sketch)
for tab in TABS:
    WORDS |= tab.WORDS


def translations() -> gr.I18n:
    """Return the words for gr.I18n."""
    english, chinese = ({key: pair[i] for key, pair in WORDS.items()} for i in range(len(LANGUAGES)))
    return gr.I18n(en=english, **dict.fromkeys(CHINESE_LOCALES, chinese))


t = translations()


def say(language: str, key: str, **values: Any) -> str:
    """Return a sentence made in Python, in a language of LANGUAGES, with its values filled in."""
    return WORDS[key][LANGUAGES.index(language)].format(**values)


def language_of(accept_language: str) -> str:
    """Return 'zh' or 'en' from a browser's Accept-Language header."""
    return "zh" if accept_language.strip().lower().startswith("zh") else "en"
