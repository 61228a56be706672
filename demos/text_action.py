"""The words of the action tab, English and Chinese, and its complaints in Chinese."""

WORDS: dict[str, tuple[str, str]] = {
    "action": ("Actions", "动作"),
    "act_video": ("Clip: MP4 WebM MOV AVI GIF", "视频：MP4 WebM MOV AVI GIF"),
    "act_toy": ("Or a Toybox clip", "或玩具视频"),
    "act_seed": ("Number", "编号"),
    "act_take": ("Take it", "选用"),
    "act_labels": ("What may be happening", "可能的动作"),
    "act_run": ("Name the action", "识别动作"),
    "act_backwards": ("Play it backwards", "倒放"),
    "act_head": ("Head", "时序头"),
    "act_order": ("Order of the frames", "帧的顺序"),
    "act_templates": ("Prompts", "提示语"),
    "act_nothing_yet": (
        "Upload a clip (at most 2 hours and 4 GB) or take a Toybox one, then name the action.",
        "上传视频（至多 2 小时、4 GB）或选用玩具视频，然后识别动作。",
    ),
    "act_best": ("{head}: {best}", "{head}：{best}"),
    "act_right": ("True: {truth}. Right.", "真实动作：{truth}。正确。"),
    "act_wrong": ("True: {truth}. Wrong.", "真实动作：{truth}。错误。"),
    "act_other": (
        "The same frames in the other direction: {best}.",
        "同样的帧，反方向播放：{best}。",
    ),
    "act_cut": ("Too long to be read to the end: {labels}.", "过长，无法读完：{labels}。"),
    "act_heads": ("Heads", "时序头对比"),
    "act_heads_note": (
        "Every head on the same kept frames, forwards and backwards. The mean cannot tell the two apart.",
        "各时序头作用于同样的帧，正放与倒放。平均池化无法区分两者。",
    ),
    "act_forwards": ("Forwards", "正放"),
    "act_reversed": ("Backwards", "倒放"),
    "act_same": ("Same?", "相同？"),
    "act_by_template": ("Prompts", "提示语对比"),
    "act_by_template_note": (
        "ActionCLIP puts the label into up to 16 sentences and takes the mean of their probabilities.",
        "ActionCLIP 把标签放入至多 16 个句子，并取概率的平均。",
    ),
    "act_by_frame": ("Frames", "逐帧"),
    "act_by_frame_note": (
        "Each frame on its own. What can be named from one picture needs no video model.",
        "逐帧单独识别。单张图片就能识别的，不需要视频模型。",
    ),
    "act_frame": ("Frame", "帧"),
    "act_show": ("Show", "显示"),
    "act_files": ("Files", "文件"),
    "act_files_note": ("The ranking as CSV, everything as JSON.", "排序为 CSV，全部内容为 JSON。"),
    "act_write": ("Write the files", "生成文件"),
    "act_python_note": ("These lines give the numbers on show.", "以下代码得到所示的数值。"),
}

COMPLAINTS: dict[str, str] = {
    "There is no clip yet: upload one, or take a Toybox clip.": "还没有视频：请上传，或选用玩具视频。",
    "Name an action first: then there is something to take apart.": "请先识别一个动作，然后才能分析。",
    "Give the scene a number from 0 to {}, for example 3.": "请给出 0 到 {} 之间的场景编号，例如 3。",
    "This clip has no frames.": "该视频没有帧。",
    "{} has no head {}; there are: {}.": "{} 没有时序头 {}；可用：{}。",
    "The frames of X-CLIP look at each other: for a frozen clip it must look again.": (
        "X-CLIP 的各帧相互参照：对静止的视频须重新观察。"
    ),
    "These tensors are not a head of the kind {}.": "这些张量不是 {} 类型的时序头。",
    "This head has places for {} frames; these are {}.": "该时序头可容纳 {} 帧；现有 {} 帧。",
    "This head takes exactly {} frames; these are {}.": "该时序头恰好需要 {} 帧；现有 {} 帧。",
    "These heads were trained on another {} than the one that is here: train them again, or check the "
    "project out again.": ("这些时序头所依据的 {} 与此处的不同：请重新训练，或重新检出项目。"),
    "The temporal shift needs an image tower of CLIP's own kind: a ViT or a ModifiedResNet.": (
        "时间移位需要 CLIP 自己的图像塔：ViT 或 ModifiedResNet。"
    ),
    "X-CLIP passes messages between frames; it has no temporal shift.": "X-CLIP 在帧间传递消息，没有时间移位。",
    "{} has no head {}; there is: {}.": "{} 没有时序头 {}；可用：{}。",
    "{} is not an X-CLIP in transformers' key layout.": "{} 不是 transformers 键名布局的 X-CLIP。",
    "{} takes exactly {} frames; these are {}.": "{} 恰好需要 {} 帧；现有 {} 帧。",
}
