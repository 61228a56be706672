"""Every word of the detection tab, English and Chinese; see demos/text.py and demos/errors.py."""

WORDS: dict[str, tuple[str, str]] = {
    "detection": ("Detection", "检测与定位"),
    "dt_mode_words": ("class list", "类别列表"),
    "dt_mode_sentence": ("sentence", "句子"),
    "dt_words": ("Words to look for, with commas between", "要找的词（用逗号分隔）"),
    "dt_sentence": ("A sentence; each thing it names gets boxes", "一个句子；其中提到的每样东西都会得到方框"),
    "dt_system": ("System", "系统"),
    "dt_run": ("Find boxes", "检测"),
    "dt_masks_from": ("Masks are made by", "掩码由谁生成"),
    "dt_head": ("ViLD’s head", "ViLD 的头"),
    "dt_head_ensemble": ("ensemble of text and image", "文本与图像的集成"),
    "dt_head_vild": ("ViLD, one branch for both", "ViLD（共用一支）"),
    "dt_head_text": ("text alone", "仅文本"),
    "dt_head_image": ("image alone (imitates CLIP)", "仅图像（模仿 CLIP）"),
    "dt_head_crops": ("CLIP on cropped regions (baseline)", "对裁剪区域用 CLIP（基线）"),
    "dt_nothing_yet": (
        "Press Find boxes: without a picture of yours a Toybox scene is drawn, whose boxes are known.",
        "按“检测”：若没有图片，将绘制一个真实方框已知的玩具场景。",
    ),
    "dt_drawn": (
        "The scene shows: {words}. Its exact boxes are known; press Find boxes.",
        "场景中有：{words}。其精确方框已知；请按“检测”。",
    ),
    "dt_least": ("Least score", "最低分数"),
    "dt_overlap": ("Overlap (NMS)", "重叠（NMS）"),
    "dt_masks": ("Masks", "掩码"),
    "dt_own": ("A least score for each word", "每个词各自的最低分数"),
    "dt_truth": ("Truth", "真实"),
    "dt_word": ("word", "词"),
    "dt_best": ("best score", "最高分数"),
    "dt_ap50": ("AP50", "AP50"),
    "dt_grade": (
        "True boxes found: {right} of {true}; boxes that fit none of them: {more}. AP {ap:.2f}, AP50 {ap50:.2f}.",
        "{true} 个真实方框找到 {right} 个，多出 {more} 个。本图 AP {ap:.2f}，AP50 {ap50:.2f}。",
    ),
    "dt_none_there": (
        "None of the words names a thing of this scene: every box is one too many.",
        "所给的词都不在此场景中：每个方框都是多余的。",
    ),
    "dt_relative": (
        "{title}: published elsewhere, and none of this project’s papers.",
        "{title}：由他人发布，不属于本项目的论文。",
    ),
    "dt_baseline": (
        "This is ‘CLIP on cropped regions’, the baseline of ViLD’s paper: each proposal is cut out twice and shown "
        "to CLIP.",
        "这是 ViLD 论文中的基线“对裁剪区域用 CLIP”：每个候选框裁剪两次后给 CLIP 看。",
    ),
    "dt_one_vector": (
        "{title} has one vector for the whole sentence, so that it is one label; GLIP ties its phrases to boxes.",
        "{title} 对整句只有一个向量，因此整句是一个标签；GLIP 能把其中的短语与方框对应。",
    ),
    "dt_no_box": (
        "No box reaches its least score; the best is “{word}” with {score:.2f}.",
        "没有方框达到最低分数；最高的是“{word}”，{score:.2f}。",
    ),
    "dt_alone": (
        "With a single word ViLD’s image head has nothing to compare it with: its probability is always 1.",
        "只有一个词时，ViLD 的图像头无可比较：其概率恒为 1。",
    ),
    "dt_missing": ("In the scene and not named: {words}.", "场景中有而未提到：{words}。"),
    "dt_twice": ("Written twice, counted once: {words}.", "重复的词只计一次：{words}。"),
    "dt_first_words": (
        "The first {count} words have a slider each; the others follow the one for all.",
        "前 {count} 个词各有滑块；其余的词跟随总滑块。",
    ),
    "dt_inside_lesson": ("Look inside", "看内部"),
    "dt_inside_note": (
        "**ViLD**: proposals that know no words, bright: surely a thing. **GLIP**: every word against every region.",
        "**ViLD**：不含任何词的候选框，越亮越像物体。**GLIP**：每个词与每个区域。",
    ),
    "dt_look": ("Look", "查看"),
    "dt_most": ("Proposals", "候选框数"),
    "dt_weight": ("Text’s weight", "文本权重"),
    "dt_text": ("text", "文本"),
    "dt_image": ("image", "图像"),
    "dt_ensemble": ("ensemble", "集成"),
    "dt_vild": ("ViLD", "ViLD"),
    "dt_crops": ("crops", "裁剪"),
    "dt_base": ("(base)", "（基础）"),
    "dt_novel": ("(novel)", "（新）"),
    "dt_proposals": ("{count} proposals: click one", "{count} 个候选框：可点击"),
    "dt_no_proposal": ("No proposal on show lies there.", "此处没有所显示的候选框。"),
    "dt_box": ("Proposal {number}: objectness {objectness:.2f}.", "候选框 {number}：物体性 {objectness:.2f}。"),
    "dt_background": ("The text head says nothing is there: {share:.2f}.", "文本头认为是背景：{share:.2f}。"),
    "dt_mixture": (
        "Ensemble: text^{weight:.2f} × image^{rest:.2f} for base words, the other way round for novel ones. "
        "The slider moves the answer too.",
        "集成：基础词为 文本^{weight:.2f} × 图像^{rest:.2f}，新词相反。滑块同时改变答案。",
    ),
    "dt_no_inside": (
        "This system shows nothing of its inside here: choose GLIP or ViLD.",
        "该系统在此没有可看的内部：请选择 GLIP 或 ViLD。",
    ),
    "dt_region": ("region {number}", "区域 {number}"),
    "dt_regions": ("GLIP’s surest regions", "GLIP 最确信的区域"),
    "dt_matrix": ("Probability that a word (column) is about a region (row)", "词（列）与区域（行）相符的概率"),
    "dt_alignment": (
        "Asked as “{prompt}”. Each word has a probability of its own in each region: rows do not sum to 1. Below, "
        "where in the picture each word scores.",
        "提示为“{prompt}”。每个词在每个区域各有概率：每行之和不为 1。下面是各词在图中的分布。",
    ),
    "dt_absent_lesson": ("Not here?", "图中没有？"),
    "dt_absent_note": (
        "A detector always has a best box. A word that scores no better here than some word does on a **blank "
        "picture** is not here, as far as scores can tell.",
        "检测器总有一个最佳方框。若某词在此的分数不高于各词在**空白图片**上的最高分，则就分数而言它不在图中。",
    ),
    "dt_more_words": ("Ask for these too", "再问这些词"),
    "dt_check": ("Check", "检查"),
    "dt_best_here": ("best here", "本图最高"),
    "dt_best_blank": ("on blank", "空白图"),
    "dt_verdict": ("here?", "有？"),
    "dt_here": ("yes", "有"),
    "dt_not_here": ("no", "没有"),
    "dt_absent_said": (
        "{count} of {total} words score no better than {floor:.3f}, the best of all on a blank picture.",
        "{total} 个词中有 {count} 个的分数不高于 {floor:.3f}（空白图片上的最高分）。",
    ),
    "dt_absent_right": ("Right by the truth: {right} of {total}.", "与真实相符：{total} 个中 {right} 个。"),
    "dt_blank": ("A blank picture", "空白图片"),
    "dt_blank_said": (
        "On the blank picture {boxes} boxes reach {least:.2f}, for {words} of the words.",
        "空白图片上有 {boxes} 个方框达到 {least:.2f}，涉及 {words} 个词。",
    ),
    "dt_moved_lesson": ("Same word", "同一个词"),
    "dt_moved_note": (
        "GLIP reads words together, and with the picture: the rest of the sentence moves a word’s logit. ViLD, a dual "
        "encoder, has one vector for each word, whatever stands beside it.",
        "GLIP 把词连同图片一起读：句子的其余部分会改变某词的 logit。"
        "ViLD 是双编码器，每个词只有一个向量，与旁边的词无关。",
    ),
    "dt_one_word": ("The word", "词"),
    "dt_sentences": ("Sentences with it, one a line", "含该词的句子，每行一个"),
    "dt_compare": ("Compare", "比较"),
    "dt_sentence_head": ("sentence", "句子"),
    "dt_fused": ("GLIP", "GLIP"),
    "dt_apart": ("GLIP, fusion off", "GLIP（关闭融合）"),
    "dt_dual": ("ViLD", "ViLD"),
    "dt_spread": ("most − least", "最大 − 最小"),
    "dt_moved_said": (
        "Logits of “{word}”, all at the place where the first sentence is surest of it. With fusion off these weights "
        "are asked in a way they were not taught; what still moves there is the text encoder’s doing.",
        "“{word}”的 logit，均取第一句最确信之处。关闭融合是该权重未学过的用法；此时仍有的变化来自文本编码器。",
    ),
    "dt_files_lesson": ("Downloads", "下载"),
    "dt_files_note": (
        "The boxes on show as COCO JSON (with masks where they were made), CSV, and YOLO’s lines with their "
        "classes.txt. Pictures are shrunk to 1024 pixels first.",
        "当前显示的方框：COCO JSON（若已生成则含掩码）、CSV，以及 YOLO 的文本行与 classes.txt。"
        "图片先缩小到 1024 像素以内。",
    ),
    "dt_write": ("Write the files", "生成文件"),
    "dt_code_note": ("These lines find the same boxes.", "以下代码得到相同的方框。"),
}

COMPLAINTS: dict[str, str] = {
    "Give --labels or --sentence, not both.": "请只给出 --labels 或 --sentence 之一。",
    "{} answers to lists of words only: give --labels.": "{} 只回答词表：请给出 --labels。",
    "Find boxes in a picture first.": "请先在一张图片中检测。",
    "Give at most {} words here; these are {}.": "这里最多 {} 个词；现有 {} 个。",
    "Write a sentence that names things.": "请写一个提到物体的句子。",
    "Write a word, and at least two sentences with it, one a line.": "请写一个词，以及至少两个含它的句子，每行一个。",
    "No box is shown: lower a threshold first.": "没有显示任何方框：请先调低阈值。",
    "{} has no head {}: it can be asked for {}.": "{} 没有头 {}；可用：{}。",
    "The sentence names no thing that could be in a picture: write one with a noun in it.": (
        "句子没有提到图中可能有的东西：请写一个含名词的句子。"
    ),
    "The sentence {} does not hold the word {}.": "句子 {} 中没有词 {}。",
    "The word {} is longer than a whole prompt of {} tokens.": "词 {} 比整个 {} 个词元的提示还长。",
    "The sentence has {} tokens; {} reads {}: shorten it.": "句子有 {} 个词元；{} 只读 {} 个：请缩短。",
    "Write a sentence or at least one word.": "请写一个句子或至少一个词。",
    "These tensors do not fit a GLIP: {}": "这些张量与 GLIP 不符：{}",
    "{} is not a GLIP: its tensors are named otherwise.": "{} 不是 GLIP：其张量名称不同。",
    "{} is not a file of weights: wanted safetensors or an official GLIP checkpoint.": (
        "{} 不是权重文件：应为 safetensors 或官方 GLIP 检查点。"
    ),
    "This file is not a ViLD of this project: it has no {}.": "该文件不是本项目的 ViLD：缺少 {}。",
    "{} cannot be opened: {}": "{} 无法打开：{}",
}
