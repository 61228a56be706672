"""The words of the video tab, English and Chinese, and its complaints in Chinese."""

WORDS: dict[str, tuple[str, str]] = {
    "videos": ("Videos", "视频"),
    "vid_files": ("Your clips: MP4 WebM MOV AVI GIF", "您的视频：MP4 WebM MOV AVI GIF"),
    "vid_take": ("Take Toybox clips", "选用玩具视频"),
    "vid_query": ("What to look for", "要找什么"),
    "vid_query_note": (
        "Add, take away and weigh: `a red ball + water - 0.5 * tree`",
        "增加、减去与加权：`a red ball + water - 0.5 * tree`",
    ),
    "vid_picture": ("Or a picture to look for", "或者要找的图片"),
    "vid_picture_weight": ("Weight of the picture", "图片的权重"),
    "vid_search": ("Search", "搜索"),
    "vid_stop": ("Stop adding", "停止添加"),
    "vid_kind": ("What answers", "比对对象"),
    "vid_cut": ("Cut", "截断"),
    "vid_nothing_yet": (
        "Drop clips here (at most 2 hours and 4 GB each) or take Toybox ones, write what to look for, press Search.",
        "拖入视频（每个至多 2 小时、4 GB）或选用玩具视频，写下要找的内容，按“搜索”。",
    ),
    "vid_indexing": (
        "{name} ({video} of {videos}): {done:.0f} of {all:.0f} s of film, about {eta:.0f} s left",
        "{name}（第 {video}/{videos} 个）：已处理 {done:.0f}/{all:.0f} 秒，约剩 {eta:.0f} 秒",
    ),
    "vid_drawing": ("Drawing the Toybox clips …", "正在绘制玩具视频……"),
    "vid_added": ("{count} clips can be searched.", "可搜索 {count} 个视频。"),
    "vid_skipped": ("Left out: {name}: {reason}", "已跳过 {name}：{reason}"),
    "vid_stopped": ("Stopped. What was added before stays.", "已停止。先前添加的保留。"),
    "vid_found": (
        "{moments} moments in {videos} clips; the best stands {out:.1f} spreads above a typical second.",
        "在 {videos} 个视频中找到 {moments} 个片段；最佳者高出典型值 {out:.1f} 个标准差。",
    ),
    "vid_doubt": (
        "Nothing stands out: what you look for may not be there at all.",
        "没有突出的结果：要找的内容可能根本不存在。",
    ),
    "vid_truth": ("In this Toybox clip: {sentence}.", "该玩具视频：{sentence}。"),
    "vid_curve": ("{name}", "{name}"),
    "vid_seconds": ("seconds", "秒"),
    "vid_moments": ("Click a moment: the player jumps there", "点击片段：播放器跳到该处"),
    "vid_clips": ("Whole clips", "整段检索"),
    "vid_clips_note": (
        "CLIP4Clip ranks whole clips for a sentence, by the mean of the frames or by a head that sees their order.",
        "CLIP4Clip 为句子排列整段视频：用帧的平均，或用能看到顺序的时序头。",
    ),
    "vid_sentence": ("Sentence", "句子"),
    "vid_head": ("Head", "时序头"),
    "vid_rank": ("Rank the clips", "排列视频"),
    "vid_backwards": ("Play every clip backwards", "倒放所有视频"),
    "vid_same": (
        "Forwards and backwards get the same scores: this head is blind to order.",
        "正放与倒放得分相同：该时序头看不到顺序。",
    ),
    "vid_heads": ("Heads", "时序头对比"),
    "vid_heads_note": (
        "The best clip by every head, forwards and backwards, from the same kept frames.",
        "各时序头的最佳视频，正放与倒放，使用同样的帧。",
    ),
    "vid_forwards": ("Forwards", "正放"),
    "vid_reversed": ("Backwards", "倒放"),
    "vid_show": ("Show", "显示"),
    "vid_strip": ("Frames", "逐帧"),
    "vid_strip_note": (
        "The best clip's frames on their own; below each, how well the sentence fits it, dark to bright.",
        "最佳视频的各帧；下方颜色表示句子与该帧的相符程度（由暗到亮）。",
    ),
    "vid_output": ("Files", "文件"),
    "vid_output_note": (
        "The moments as CSV and JSON, and chapters for a player as WebVTT.",
        "片段的 CSV 与 JSON，以及播放器章节 WebVTT。",
    ),
    "vid_write": ("Write the files", "生成文件"),
    "vid_python_note": ("These lines find the moments on show.", "以下代码得到所示的片段。"),
}

COMPLAINTS: dict[str, str] = {
    "There are no clips yet: upload some, or take the Toybox ones.": "还没有视频：请上传，或选用玩具视频。",
    "Write what to look for, or give a picture.": "请写下要找的内容，或给出一张图片。",
    "Search first: then there are moments to write.": "请先搜索，然后才有片段可写。",
    "Give at most {} clips at once; these are {}.": "一次最多 {} 个视频；这里有 {} 个。",
    "None of these clips can be searched: {}": "这些视频都无法搜索：{}",
    "There are no videos to search in yet: add some first.": "还没有可搜索的视频：请先添加。",
    "There is no video {} in the index.": "索引中没有视频 {}。",
    "These videos were added without patches: add them again with patches.": (
        "这些视频添加时未含图块：请带图块重新添加。"
    ),
    "The parts of this query cancel each other out; change a weight.": "查询的各部分相互抵消；请改变某个权重。",
    "The index at {} cannot be opened: {}.": "无法打开位于 {} 的索引：{}。",
    "Give at least one clip.": "请至少给出一个视频。",
    "Write at least one sentence.": "请至少写一个句子。",
    "These weights have no head with positions in time.": "这些权重没有带时间位置的时序头。",
    "{} has no image tower, and no card beside it says whose it uses.": (
        "{} 没有图像塔，旁边也没有说明使用哪一个的卡片。"
    ),
    "{} was trained on another {} than the one here: train it again.": "{} 所依据的 {} 与此处的不同：请重新训练。",
    "These heads do not fit: {}": "这些时序头不匹配：{}",
    "{} holds no frames that can be read.": "{} 中没有可读取的帧。",
    "The frames of {} have {} x {} pixels; make it smaller first.": "{} 的帧为 {} x {} 像素，请先缩小。",
    "{} has no pictures in it, only sound or text.": "{} 中没有画面，只有声音或文字。",
    "{} has {} GB; give at most {} GB.": "{} 有 {} GB；最多 {} GB。",
    "{} is a folder, not a video.": "{} 是文件夹，不是视频。",
    "{} is a video in a code that cannot be read here.": "{} 的视频编码无法在此读取。",
    "{} is empty.": "{} 是空文件。",
    "{} is not a video that can be read (MP4, MOV, WebM, AVI or GIF), or it is damaged.": (
        "{} 不是可读取的视频（MP4、MOV、WebM、AVI 或 GIF），或已损坏。"
    ),
}
