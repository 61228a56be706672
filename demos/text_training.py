"""Every word of the training tab, English and Chinese.

They are not among the words of demos/text.py: those are sent to every page, and this tab is hidden.
"""

from typing import Any

from demos.text_training_engine import COMPLAINTS as ENGINE_COMPLAINTS

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "tr_tab": ("Training", "训练"),
    "tr_token": ("Token of the training tab", "训练页的令牌"),
    "tr_open": ("Open", "打开"),
    "tr_recipe": ("What to train", "训练什么"),
    "tr_data": ("Pictures to learn from", "用于学习的图片"),
    "tr_toybox": ("Toybox", "玩具世界"),
    "tr_upload": ("Or a zip of class folders", "或上传按类别分文件夹的 zip"),
    "tr_weights": ("Begin with", "起始权重"),
    "tr_minutes": ("Minutes of training", "训练分钟数"),
    "tr_rate": ("Learning rate, times the recipe’s", "学习率（相对配方的倍数）"),
    "tr_share": ("Share of the new weights (WiSE-FT)", "新权重所占比例（WiSE-FT）"),
    "tr_more": ("Settings", "设置"),
    "tr_start": ("Start training", "开始训练"),
    "tr_shown": ("Run on show", "正在查看的训练"),
    "tr_stop": ("Stop", "停止"),
    "tr_resume": ("Resume", "继续"),
    "tr_remove": ("Remove the run on show, with its files", "删除正在查看的训练及其文件"),
    "tr_live": ("Live", "实时"),
    "tr_before_after": ("Before/after", "前后对比"),
    "tr_samples": ("Samples", "样例"),
    "tr_compare": ("Compare", "比较"),
    "tr_files": ("Files", "文件"),
    "tr_runs": ("Runs", "全部训练"),
    "tr_use": ("Use it in the other tabs", "在其他页使用"),
    "tr_write": ("Write the files", "生成文件"),
    "tr_files_note": (
        "Weights (safetensors), a folder that open_clip opens, the model card with the measured figures, and the log.",
        "权重（safetensors）、open_clip 可打开的文件夹、含测得数值的模型卡片，以及日志。",
    ),
    "tr_matrix_note": (
        "Rows are pictures, columns their captions in the same order; bright is alike ({low:+.2f} to {high:+.2f}). "
        "{right} of {count} pictures find their own caption.",
        "行为图片，列为同序的文字；越亮越相似（{low:+.2f} 至 {high:+.2f}）。"
        "{count} 张图片中有 {right} 张找到自己的文字。",
    ),
    "tr_no_matrix": (
        "This recipe shows no matrix, or has not written one yet.",
        "该配方没有矩阵，或尚未写出。",
    ),
    "tr_caption": ("its caption", "它的文字"),
    "tr_prediction": ("taken for", "被认作"),
    "tr_loss": ("Loss", "损失"),
    "tr_learning_rate": ("Learning rate", "学习率"),
    "tr_figures": ("Accuracy", "正确率"),
    "tr_axis_seconds": ("seconds", "秒"),
    "tr_axis_step": ("steps", "步"),
    "tr_axis": ("Along", "横轴"),
    "tr_curve": ("Curve", "曲线"),
    "tr_runs_to_compare": ("Runs to compare", "要比较的训练"),
    "tr_chosen_none": ("Choose two or more runs to see their curves together.", "选择两个或更多训练，一起查看其曲线。"),
    "tr_no_runs": (
        "Nothing was trained yet: choose what to train, then start.",
        "还没有训练：请选择内容并开始。",
    ),
    "tr_step": ("step {step} · {elapsed}", "第 {step} 步 · {elapsed}"),
    "tr_eta": ("about {eta} left", "约剩 {eta}"),
    "tr_preparing": (
        "getting ready: pictures are drawn or read, once for each recipe",
        "准备中：绘制或读取图片，每个配方只需一次",
    ),
    "tr_waiting": ("{ahead} before it in the queue", "队列中前面还有 {ahead} 个"),
    "tr_queued": ("waiting", "等待中"),
    "tr_running": ("running", "训练中"),
    "tr_stopping": ("stopping", "正在停止"),
    "tr_finished": ("finished", "已完成"),
    "tr_stopped": ("stopped", "已停止"),
    "tr_failed": ("failed", "失败"),
    "tr_head_figure": ("figure", "指标"),
    "tr_head_before": ("before", "训练前"),
    "tr_head_now": ("now", "现在"),
    "tr_head_change": ("change", "变化"),
    "tr_data_report": (
        "{read} of your pictures were read; {skipped} could not be used.",
        "读取了您的 {read} 张图片；{skipped} 张无法使用。",
    ),
    "tr_head_run": ("run", "训练"),
    "tr_head_state": ("state", "状态"),
    "tr_head_data": ("pictures", "图片"),
    "tr_head_step": ("steps", "步数"),
    "tr_no_figures": ("Nothing was measured yet.", "尚未测量。"),
    "tr_figures_note": (
        "Measured on pictures that nobody trained on. A figure that falls is what was forgotten.",
        "在从未用于训练的图片上测得。下降的指标即为遗忘。",
    ),
    "tr_figure_toy_top1": ("Toybox things, zero-shot", "玩具世界物体，零样本"),
    "tr_figure_toy_top1_forgotten": ("Toybox things (unrelated: forgetting)", "玩具世界物体（无关数据：遗忘）"),
    "tr_figure_toy_heldout_top1": ("Toybox, pairs never trained on", "玩具世界，未训练的颜色与物体组合"),
    "tr_figure_color_top1": ("Toybox colours, zero-shot", "玩具世界颜色，零样本"),
    "tr_figure_photo_top1": ("Your pictures, zero-shot", "您的图片，零样本"),
    "tr_figure_photo_r1": ("Your pictures find their captions", "您的图片找到自己的文字"),
    "tr_figure_adapter_top1": ("Point clouds, with the adapter", "点云，带适配器"),
    "tr_figure_distance_top1": ("Places: near or far", "各处的远近"),
    "tr_figure_ap50": ("Boxes of the tuned classes, AP50", "所调类别的方框，AP50"),
    "tr_figure_ap50_base": ("Boxes of base things, AP50", "基础物体的方框，AP50"),
    "tr_figure_ap50_novel": ("Boxes of novel things, AP50", "新物体的方框，AP50"),
    "tr_figure_phrase_r1": ("Phrases find their box", "短语找到自己的方框"),
    "tr_figure_iou_point": ("Mask from a click, IoU", "单击得到的掩码，IoU"),
    "tr_figure_iou_box": ("Mask from a box, IoU", "方框得到的掩码，IoU"),
    "tr_figure_toy_ap50": ("Boxes of base things (unrelated: forgetting)", "基础物体的方框（无关数据：遗忘）"),
    "tr_figure_toy_iou_point": ("From a click on the Toybox (unrelated: forgetting)", "玩具世界单击（无关数据：遗忘）"),
    "tr_figure_toy_iou_box": ("From a box on the Toybox (unrelated: forgetting)", "玩具世界方框（无关数据：遗忘）"),
    "tr_recipe_clip_3_minutes": ("Watch CLIP learn from nothing, 3 min", "看 CLIP 从零学起，3 分钟"),
    "tr_recipe_clip_30_minutes": ("CLIP from nothing, 30 min", "CLIP 从零学起，30 分钟"),
    "tr_recipe_clip_finetune": ("CLIP on your pictures: all weights", "用您的图片微调 CLIP：全部权重"),
    "tr_recipe_clip_lora": ("CLIP on your pictures: LoRA", "用您的图片微调 CLIP：LoRA"),
    "tr_recipe_clip_probe": ("CLIP on your pictures: linear probe", "用您的图片训练 CLIP 的线性探针"),
    "tr_recipe_pointclip": ("PointCLIP’s adapter", "PointCLIP 适配器"),
    "tr_recipe_clip": ("toybox-resnet, as embedded", "内置的 toybox-resnet"),
    "tr_recipe_clip_vit": ("toybox-vit, as embedded", "内置的 toybox-vit"),
    "tr_recipe_clip4clip": ("CLIP4Clip’s heads and words", "CLIP4Clip 的头部与文字塔"),
    "tr_recipe_clip4clip_heads": ("CLIP4Clip’s heads alone", "仅 CLIP4Clip 的头部"),
    "tr_recipe_actionclip": ("ActionCLIP’s heads and towers", "ActionCLIP 的头部与双塔"),
    "tr_recipe_actionclip_heads": ("ActionCLIP’s heads alone", "仅 ActionCLIP 的头部"),
    "tr_recipe_lseg": ("LSeg", "LSeg"),
    "tr_recipe_lseg_large": ("LSeg, further, on larger pictures", "LSeg：在更大的图片上继续"),
    "tr_recipe_groupvit": ("GroupViT", "GroupViT"),
    "tr_recipe_vild": ("ViLD", "ViLD"),
    "tr_recipe_glip": ("GLIP", "GLIP"),
    "tr_recipe_glip_large": ("GLIP, further, on larger pictures", "GLIP：在更大的图片上继续"),
    "tr_recipe_glip_prompt": ("GLIP’s prompt, tuned for a few classes", "GLIP：为若干类别调整提示"),
    "tr_recipe_glip_finetune": ("GLIP on your boxes: all weights", "用您的方框微调 GLIP：全部权重"),
    "tr_recipe_sam": ("SAM", "SAM"),
    "tr_recipe_sam_large": ("SAM, further, on larger pictures", "SAM：在更大的图片上继续"),
    "tr_recipe_sam_decoder": ("SAM’s decoder alone", "仅 SAM 解码器"),
    "tr_recipe_depthclip": ("CLIP that heard of places", "听说过远近的 CLIP"),
    "tr_takes_none": ("Learns from the Toybox alone.", "只从玩具世界学习。"),
    "tr_takes_optional": (
        "Learns from the Toybox, and from pictures besides: class folders, a zip of them, a CSV or parquet of pictures "
        "and captions, a COCO JSON.",
        "从玩具世界学习，也可加入图片：按类别分的文件夹或其 zip、图片与文字的 CSV 或 parquet、COCO JSON。",
    ),
    "tr_takes_needed": (
        "Learns from pictures: class folders, a zip of them, a CSV or parquet of pictures and captions, a COCO JSON; "
        "a probe needs classes.",
        "从图片学习：按类别分的文件夹或其 zip、图片与文字的 CSV 或 parquet、COCO JSON；线性探针需要类别。",
    ),
    "tr_takes_boxes": (
        "Learns from the Toybox, or from a COCO JSON with boxes (outlines for SAM): the file, or a folder with it.",
        "从玩具世界学习，或从带方框的 COCO JSON（SAM 需要轮廓）学习：该文件，或含该文件的文件夹。",
    ),
    "tr_counted_boxes": ("{classes} classes, {pictures} boxes: {each}", "{classes} 个类别，{pictures} 个方框：{each}"),
    "tr_counted": ("{classes} classes, {pictures} pictures: {each}", "{classes} 个类别，{pictures} 张图片：{each}"),
    "tr_table_chosen": ("A table of pictures and captions.", "图片与文字的表格。"),
    "tr_used": ("{name} is now chosen in: {tabs}.", "{name} 已在以下各页选中：{tabs}。"),
    "tr_only_listed": (
        "{name} is in the other tabs’ lists of models where they can use it.",
        "{name} 已列入能使用它的各页的模型列表。",
    ),
    "tr_truncated": ("only the newest {count} are listed", "仅列出最新 {count} 个"),
}

COMPLAINTS: dict[str, str] = {
    "Too many wrong tokens: wait {} minutes.": "令牌错误次数过多：请等待 {} 分钟。",
    "This token does not open the training tab.": "该令牌不能打开训练页。",
    "Unknown recipe {}; there are: {}.": "未知的配方 {}；可用：{}。",
    "Give {} from {} to {}.": "{} 须在 {} 到 {} 之间。",
    "minutes": "分钟数",
    "learning rate factor": "学习率倍数",
    "share of the new weights": "新权重所占比例",
    "This recipe learns from your pictures: choose a folder or upload a zip of class folders.": (
        "该配方从您的图片学习：请选择文件夹，或上传按类别分文件夹的 zip。"
    ),
    "This recipe learns from the Toybox alone: choose no pictures for it.": "该配方只从玩具世界学习：请不要选择图片。",
    "Unknown weights {} to begin with; choose listed ones.": "未知的起始权重 {}；请从列表中选择。",
    "Training from the app needs Linux or macOS; use python -m core.train here.": (
        "在应用中训练需要 Linux 或 macOS；此处请用 python -m core.train。"
    ),
    "There are {} trainings waiting already: wait for one to end.": "已有 {} 个训练在等待：请等其中一个结束。",
    "This run has ended already.": "该训练已经结束。",
    "Only a run that was stopped or has failed can go on.": "只有已停止或失败的训练才能继续。",
    "Stop this run before you remove it.": "删除前请先停止该训练。",
    "There is no run {}.": "没有训练 {}。",
    "There are no pictures {} to choose.": "没有可选的图片 {}。",
    "Choose a zip of class folders to upload.": "请选择要上传的、按类别分文件夹的 zip。",
    "{} holds no pictures; wanted CLASS/picture.jpg or .png.": "{} 中没有图片；应为 类别/图片.jpg 或 .png。",
    "{} holds {} class: wanted at least two folders with pictures in them.": (
        "{} 中有 {} 个类别：至少需要两个含图片的文件夹。"
    ),
    "{} holds no boxes: wanted a COCO file with images, categories and annotations.": (
        "{} 中没有方框：应为含 images、categories 与 annotations 的 COCO 文件。"
    ),
    "Wanted a COCO JSON with boxes, or a folder with one in it, got {}.": (
        "应为带方框的 COCO JSON，或含该文件的文件夹，却得到 {}。"
    ),
    "{} is not a zip file that can be read.": "{} 不是可读取的 zip 文件。",
    "{} holds too much: at most {} files and {} GB.": "{} 内容过多：最多 {} 个文件、{} GB。",
    "There are no weights yet: a run writes them when it finishes.": "还没有权重：训练完成时才会写出。",
    "This run has no files yet.": "该训练还没有文件。",
    "Stopped on request; Resume goes on from its last checkpoint.": "已按要求停止；“继续”将从最后的检查点开始。",
    "Stopped at its limit of {} minutes; Resume goes on from its last checkpoint.": (
        "已达 {} 分钟的上限而停止；“继续”将从最后的检查点开始。"
    ),
    "Stopped because the runs take more than {} GB; remove some, then Resume.": (
        "所有训练占用超过 {} GB，已停止；请删除一些，再“继续”。"
    ),
    "Stopped because the disk has less than {} GB left; free some, Resume.": (
        "磁盘剩余不足 {} GB，已停止；请腾出空间，再“继续”。"
    ),
    "The training cannot be started ({}).": "无法启动训练（{}）。",
    "The training ended with code {} and said nothing.": "训练以代码 {} 结束，没有说明。",
    "The training was killed ({}), most likely because the memory ran out; Resume goes on from its last checkpoint.": (
        "训练被终止（{}），多半是内存不足；“继续”将从最后的检查点开始。"
    ),
    "The training ended without a word, as when a computer is switched off; Resume goes on from its last checkpoint.": (
        "训练无声中止，如同关机；“继续”将从最后的检查点开始。"
    ),
}

COMPLAINTS |= ENGINE_COMPLAINTS


def say(language: str, key: str, **values: Any) -> str:
    """Return a word or sentence of this tab in a language of LANGUAGES, with its values filled in."""
    return WORDS[key][LANGUAGES.index(language)].format(**values)
