"""Every word of the segmentation tab, English and Chinese; see demos/text.py and demos/errors.py."""

WORDS: dict[str, tuple[str, str]] = {
    "segmentation": ("Segmentation", "语义分割"),
    "sg_words": ("Words to look for, with commas between", "要找的词（用逗号分隔）"),
    "sg_system": ("System", "系统"),
    "sg_run": ("Segment", "分割"),
    "sg_rest": ("A pixel may be none of the words", "像素可以不属于任何词"),
    "sg_prompt": ("Ask SAM by", "向 SAM 提示的方式"),
    "sg_everything": ("a grid", "网格"),
    "sg_points": ("clicks", "点击"),
    "sg_box": ("a box", "方框"),
    "sg_click_means": ("A click means", "点击表示"),
    "sg_inside": ("inside", "在物体内"),
    "sg_outside": ("outside", "在物体外"),
    "sg_mode": ("Shown to CLIP", "给 CLIP 看的方式"),
    "sg_clear": ("Forget clicks", "清除点击"),
    "sg_namer": ("CLIP that names the masks", "为掩码命名的 CLIP"),
    "sg_agree": (
        "I accept NVIDIA’s licence for these weights: research only, non-commercial",
        "我接受 NVIDIA 对该权重的许可：仅限研究、非商业用途",
    ),
    "sg_looks": ("LSeg looks", "LSeg 观察"),
    "sg_once": ("once", "一次"),
    "sg_mirrored": ("and at the mirror image", "加上镜像"),
    "sg_scaled": ("at three scales and mirror images", "三种尺度及镜像"),
    "sg_view": ("Click a pixel", "点击像素"),
    "sg_plain_label": ("Plain CLIP", "原始 CLIP"),
    "sg_truth": ("Truth", "真实"),
    "sg_opacity": ("Opacity", "不透明度"),
    "sg_threshold": ("Least score", "最低分数"),
    "sg_nothing_yet": (
        "Press Segment: without a picture of yours a Toybox scene is drawn, whose truth is known.",
        "按“分割”：若没有图片，将绘制一个真值已知的玩具场景。",
    ),
    "sg_drawn": (
        "The scene shows: {words}. Its exact masks are known; press Segment.",
        "场景中有：{words}。其精确掩码已知；请按“分割”。",
    ),
    "sg_word": ("word", "词"),
    "sg_share": ("share of the picture", "占图片比例"),
    "sg_at": ("at ({x}, {y})", "({x}, {y}) 处"),
    "sg_nothing": ("none of them", "都不是"),
    "sg_grade": (
        "Mean IoU with the truth {mine:.2f}; plain CLIP {plain:.2f}.",
        "与真值的平均 IoU：{mine:.2f}；原始 CLIP：{plain:.2f}。",
    ),
    "sg_grade_alone": ("Mean IoU with the truth {mine:.2f}.", "与真值的平均 IoU：{mine:.2f}。"),
    "sg_click_point": ("Click a thing in the picture on the right.", "请在右侧图片中点击一个物体。"),
    "sg_click_box": (
        "Click two opposite corners of a thing in the picture on the right.",
        "请在右侧图片中点击物体的两个对角。",
    ),
    "sg_click_corner": ("Now click the opposite corner.", "现在请点击对角。"),
    "sg_masks": (
        "{count} masks; {named} of them are one of the words.",
        "{count} 个掩码；其中 {named} 个属于所给的词。",
    ),
    "sg_no_mask": ("No mask lies at ({x}, {y}).", "({x}, {y}) 处没有掩码。"),
    "sg_one_word": (
        "With a single word every pixel must be it: add another, or let pixels be none.",
        "只有一个词时，每个像素都只能是它：请再加一个词，或允许像素不属于任何词。",
    ),
    "sg_missing": (
        "In the scene and not on your list: {words}. Watch what their pixels are called.",
        "场景中有而您的词表中没有：{words}。看看这些像素被叫作什么。",
    ),
    "sg_twice": ("Written twice, counted once: {words}.", "重复的词只计一次：{words}。"),
    "sg_inside_lesson": ("Look inside", "看内部"),
    "sg_inside_note": (
        "**LSeg**: its vectors as colours, a word’s logits before and after the blocks. **GroupViT**: both stages of "
        "groups, and their similarity to words. **SAM**: three masks for one prompt, and how CLIP is shown the best.",
        "**LSeg**：特征向量的颜色，某词在正则化块前后的 logit。**GroupViT**：两级分组及其与词的相似度。"
        "**SAM**：一个提示的三个掩码，以及最佳掩码如何给 CLIP 看。",
    ),
    "sg_look": ("Look inside the answer on show", "查看当前答案的内部"),
    "sg_pca": ("vectors: three main directions as red, green, blue", "特征向量：三个主方向作红、绿、蓝"),
    "sg_before": ("“{word}” before the blocks: {low:+.1f} to {high:+.1f}", "“{word}”块之前：{low:+.1f} 至 {high:+.1f}"),
    "sg_after": ("“{word}” after the blocks: {low:+.1f} to {high:+.1f}", "“{word}”块之后：{low:+.1f} 至 {high:+.1f}"),
    "sg_blocks": ("blocks: {name} · changes {share:.1%}", "块：{name} · 改变 {share:.1%}"),
    "sg_at_pixel": (
        "Logits at ({x}, {y}); click another pixel in the answer to see it here.",
        "({x}, {y}) 处的 logit；在答案中点击其他像素即可查看。",
    ),
    "sg_logit_before": ("logit before the blocks", "块之前的 logit"),
    "sg_logit_after": ("after", "之后"),
    "sg_stage": (
        "stage {stage}: {used} of {groups} groups have pixels",
        "第 {stage} 级：{groups} 组中 {used} 组有像素",
    ),
    "sg_score_of": ("score of “{word}”, bright is 1", "“{word}”的分数，亮为 1"),
    "sg_group": ("group {number} ({share:.0%})", "组 {number}（{share:.0%}）"),
    "sg_similarity": ("Cosine of every group with the likeliest words", "各组与最可能的词的余弦相似度"),
    "sg_kept_words": (
        "{used} of {groups} groups have pixels. Only these words may win here, the likeliest for the whole picture: "
        "{words}.",
        "{groups} 组中 {used} 组有像素。只有对整张图片最可能的词可以胜出：{words}。",
    ),
    "sg_pixel_group": ("The pixel ({x}, {y}) is in group {group}.", "像素 ({x}, {y}) 属于组 {group}。"),
    "sg_plain": (
        "CLIP has {rows} × {columns} places here; each word’s logit at each of them, all on one scale, bright is high.",
        "CLIP 在此有 {rows} × {columns} 个位置；图中为各词在每处的 logit，同一标度，亮为高。",
    ),
    "sg_mask": (
        "mask {number}: expects IoU {iou:.2f}, stability {stability:.2f} · {share:.1%}",
        "掩码 {number}：预计 IoU {iou:.2f}，稳定度 {stability:.2f} · {share:.1%}",
    ),
    "sg_empty": ("All three masks are empty here: click in the middle of a thing.", "三个掩码都为空：请点击物体中部。"),
    "sg_second": ("next", "次选"),
    "sg_asked_at": (
        "SAM’s three masks for the prompt at ({x}, {y}), the one it trusts most first; its name by each way of showing "
        "it to CLIP.",
        "SAM 对 ({x}, {y}) 处提示的三个掩码，最可信者在前；以及各种展示方式下 CLIP 给它的名称。",
    ),
    "sg_side": ("Compare", "比较"),
    "sg_side_note": (
        "The same picture and words, two systems: drag the line. SAM takes a grid of clicks here.",
        "同一图片与词，两个系统：拖动分界线。此处 SAM 使用密集网格点击。",
    ),
    "sg_left": ("Left", "左"),
    "sg_right_side": ("Right", "右"),
    "sg_compare": ("Show both", "并排显示"),
    "sg_duel": (
        "Mean IoU with the truth: {first} {a:.2f}, {second} {b:.2f}.",
        "与真值的平均 IoU：{first} {a:.2f}，{second} {b:.2f}。",
    ),
    "sg_no_truth": (
        "The truth of this picture is not known; draw a Toybox scene to get IoUs.",
        "该图片的真值未知；绘制玩具场景即可得到 IoU。",
    ),
    "sg_claims": ("Claims", "检验说法"),
    "sg_claims_note": (
        "What is said of these systems, measured here and now on fresh scenes. Guess first. "
        "`python -m core.evaluate` does the same on many more.",
        "关于这些系统的说法，现场用新场景测量。先猜一猜。`python -m core.evaluate` 用更多场景做同样的测量。",
    ),
    "sg_claim": ("Claim", "说法"),
    "sg_seed": ("Seed", "种子"),
    "sg_size": ("Scenes", "场景数"),
    "sg_test": ("Measure", "测量"),
    "sg_claim_blocks": ("LSeg: regularisation blocks help (0, 1, 2, 4)", "LSeg：正则化块有用（0、1、2、4 个）"),
    "sg_claim_omitted": ("LSeg: what if the list omits what is there", "LSeg：词表漏掉图中之物会怎样"),
    "sg_claim_renamed": ("LSeg: wider and other words, as chair → furniture", "LSeg：上位词与同义词，如椅子 → 家具"),
    "sg_claim_twice": ("LSeg: the same word twice", "LSeg：同一个词写两遍"),
    "sg_claim_cap": ("GroupViT: never more segments than groups", "GroupViT：分割数不超过组数"),
    "sg_claim_merged": ("GroupViT: things of one category merge", "GroupViT：同类物体会合并"),
    "sg_claim_sweep": ("GroupViT: the background threshold decides", "GroupViT：背景阈值起决定作用"),
    "sg_claim_oracle": ("GroupViT: grouping is better than naming", "GroupViT：分组优于命名"),
    "sg_claim_modes": ("SAM × CLIP: how to show CLIP a mask", "SAM × CLIP：如何把掩码给 CLIP 看"),
    "sg_blocks_head": ("blocks", "块"),
    "sg_seen": ("mIoU of annotated words", "有标注的词 mIoU"),
    "sg_novel": ("of words never annotated", "从未标注的词"),
    "sg_right_pixels": ("pixels right", "像素正确率"),
    "sg_said_blocks": (
        "{scenes} scenes, all 24 categories and “other” on the list; six categories were never annotated. "
        "The best blocks against none, on annotated words: {gain:+.3f}.",
        "{scenes} 个场景，词表含全部 24 类与“other”；其中六类从未标注。有标注的词上，最好的块与无块相比：{gain:+.3f}。",
    ),
    "sg_went_to": ("its pixels went to", "其像素归于"),
    "sg_with_other": ("with “other” on the list", "词表含“other”"),
    "sg_without_other": ("without it", "不含"),
    "sg_said_omitted": (
        "In {scenes} scenes one thing’s word was left out. “other” took {share:.0%} of its pixels; without “other” "
        "they must be called something that is not there.",
        "{scenes} 个场景中各漏掉一个物体的词。“other”得到其像素的 {share:.0%}；"
        "没有“other”时，它们只能被叫作不存在的东西。",
    ),
    "sg_own_word": ("IoU by its own word", "用原词的 IoU"),
    "sg_other_word": ("by the other word", "用另一个词"),
    "sg_known": ("did training hear that word?", "训练中听过该词？"),
    "sg_yes": ("yes", "是"),
    "sg_no": ("no", "否"),
    "sg_said_renamed": (
        "{scenes} scenes for each pair. A frozen text tower carries LSeg to a new word only as far as it knows it.",
        "每对词 {scenes} 个场景。冻结的文本塔只有认识新词，才能把 LSeg 带过去。",
    ),
    "sg_pixels_second": ("pixels that the second one wins", "第二个词赢得的像素"),
    "sg_pixels_changed": ("pixels whose label changes", "标签改变的像素"),
    "sg_probability_ratio": ("probability, twice over once", "概率：写两遍比一遍"),
    "sg_measured": ("measured", "测量"),
    "sg_value": ("value", "值"),
    "sg_said_twice": (
        "{scenes} scenes. Two equal words share the probability between them; the first takes every pixel.",
        "{scenes} 个场景。两个相同的词平分概率；像素全归第一个。",
    ),
    "sg_things": ("things in the scene", "场景中的物体"),
    "sg_visible": ("visible", "可见"),
    "sg_segments": ("segments", "分割数"),
    "sg_most_segments": ("most", "最多"),
    "sg_apart": ("things with a group of their own", "独占一组的物体"),
    "sg_said_cap": (
        "This network has {groups} groups, so no picture has more segments; {scenes} scenes in each row.",
        "该网络有 {groups} 个组，因此任何图片的分割数都不会更多；每行 {scenes} 个场景。",
    ),
    "sg_pair": ("two things", "两个物体"),
    "sg_one_group": ("share in one group", "同组比例"),
    "sg_scenes": ("scenes", "场景数"),
    "sg_same_category": ("of one category", "同类"),
    "sg_two_categories": ("of two categories", "不同类"),
    "sg_said_merged": (
        "Groups follow meaning, not objects: nothing in the loss keeps two chairs apart.",
        "分组依据语义而非个体：损失函数中没有任何东西把两把椅子分开。",
    ),
    "sg_miou": ("mIoU", "mIoU"),
    "sg_background_iou": ("IoU of the background", "背景 IoU"),
    "sg_said_sweep": (
        "{scenes} scenes, one look at each. Best here: {best:g} with mIoU {miou:.2f}; the weights’ own is {own:g}.",
        "{scenes} 个场景，每个只看一次。此处最佳阈值 {best:g}，mIoU {miou:.2f}；权重自带的是 {own:g}。",
    ),
    "sg_oracle": ("mIoU, labels from the truth", "mIoU：标签取自真值"),
    "sg_text": ("mIoU, labels from words", "mIoU：标签取自词"),
    "sg_said_oracle": (
        "{scenes} scenes in each row. The gap is what naming costs; what is missing to 1 in the middle column is what "
        "grouping costs.",
        "每行 {scenes} 个场景。两列之差是命名的损失；中间一列与 1 之差是分组的损失。",
    ),
    "sg_right": ("masks named rightly", "命名正确的掩码"),
    "sg_said_modes": (
        "{masks} true masks, 24 categories (chance {chance:.1%}), named by {namer}.",
        "{masks} 个真实掩码，24 个类别（随机 {chance:.1%}），由 {namer} 命名。",
    ),
    "sg_files_lesson": ("Files", "文件"),
    "sg_files_note": (
        "An index PNG (a pixel’s value is its word, counted from 0; 255 is none), COCO JSON that pycocotools reads, "
        "and a CSV; of the answer on show, at its least score. Pictures are shrunk to 1024 pixels first.",
        "索引 PNG（像素值为词的序号，从 0 数起；255 为无）、pycocotools 可读的 COCO JSON 与 CSV；"
        "内容为当前答案及其最低分数。图片先缩小到 1024 像素以内。",
    ),
    "sg_write": ("Write the files", "生成文件"),
    "sg_code_note": ("These lines give the same shares.", "以下代码得到相同的比例。"),
}

COMPLAINTS: dict[str, str] = {
    "Segment a picture first.": "请先分割一张图片。",
    "Give at most {} words; these are {}.": "最多 {} 个词；现有 {} 个。",
    "{} may be used under this licence only: {}. Tick the box to accept it.": (
        "{} 只能按此许可使用：{}。请勾选方框以接受。"
    ),
    "The mask is empty here: click in the middle of a thing, or take back the last click.": (
        "此处掩码为空：请点击物体中部，或撤回上一次点击。"
    ),
    "Give the scenes a number from 0 to {}, for example 0.": "请给出 0 到 {} 之间的场景编号，例如 0。",
}
