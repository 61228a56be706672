"""Every word of the depth tab, English and Chinese; see demos/text.py."""

WORDS: dict[str, tuple[str, str]] = {
    "depth_run": ("Estimate depth", "估计深度"),
    "depth_temperature": ("Temperature as a power of ten (−1 is the paper’s 0.1)", "温度（10 的幂；−1 即论文的 0.1）"),
    "depth_settings": ("Words and distances", "词语与距离"),
    "depth_words": ("Words about distance, with commas between", "关于距离的词（用逗号分隔）"),
    "depth_bins": ("Their distances in metres", "各词对应的距离（米）"),
    "depth_cheat": ("Take the distances from the true depth (a cheat)", "从真实深度取距离（作弊）"),
    "depth_flip": ("Average with the answer for the mirror image", "与镜像图片的答案取平均"),
    "depth_as_released": ("Ask as the released code does", "按官方代码提问"),
    "depth_template": ("Template; {} is where the word goes", "模板；{} 处填入词语"),
    "depth_variant": ("Variant", "变体"),
    "depth_variants": ("What the variants are", "各变体的含义"),
    "depth_variants_note": (
        "**released**: what the authors’ code does: channels of the last ResNet stage, thinned to the size of the "
        "text vector, so not CLIP’s joint space. Needs a CLIP ResNet (toybox-resnet).  \n"
        "**attention_pooled**: what the paper describes: every place asks CLIP’s attention pooling. "
        "Needs a CLIP ResNet (toybox-resnet).  \n"
        "**patches**: the same idea for a ViT: each patch keeps its own value in the last block. "
        "Needs a ViT (toybox-vit).",
        "**released**：作者代码的做法：取 ResNet 最后一级的通道，抽稀到文本向量的长度，因此不在 CLIP 的共同空间里。"
        "需要 CLIP ResNet（toybox-resnet）。  \n"
        "**attention_pooled**：论文所述：每个位置都通过 CLIP 的注意力池化。需要 CLIP ResNet（toybox-resnet）。  \n"
        "**patches**：ViT 的对应做法：最后一层中每个图块保留自己的值。需要 ViT（toybox-vit）。",
    ),
    "depth_unsupported": (
        "This model has no variant “{wanted}”, which needs {kind}, for example {example}; this is the model’s own.",
        "该模型没有变体“{wanted}”，它需要{kind}，例如 {example}；这里用的是该模型自己的变体。",
    ),
    "depth_resnet": ("a CLIP ResNet", "CLIP ResNet"),
    "depth_vit": ("a ViT", "ViT"),
    "depth_slider": ("Picture against depth; bright is near", "图片与深度对比；亮处为近"),
    "depth_nothing_yet": (
        "Choose a picture or draw a scene, then press Estimate depth.",
        "选择图片或绘制场景，然后按“估计深度”。",
    ),
    "depth_truth": (
        "The true depth is known: {near:.2f} to {far:.2f} m, half of the pixels nearer than {middle:.2f} m.",
        "真实深度已知：{near:.2f} 至 {far:.2f} 米，一半像素近于 {middle:.2f} 米。",
    ),
    "depth_reading": (
        "{variant}: nearest {near:.3f} m, median {middle:.3f} m, farthest {far:.3f} m. It is the words’ mean distance, "
        "weighted by probability at temperature {temperature:.3g}, so it never leaves {least:g} to {most:g} m.",
        "{variant}：最近 {near:.3f} 米，中位 {middle:.3f} 米，最远 {far:.3f} 米。"
        "它是各词距离按概率（温度 {temperature:.3g}）的加权平均，因此不会超出 {least:g} 至 {most:g} 米。",
    ),
    "depth_saturated": (
        "At this temperature one word takes more than 99 % in {share:.0%} of the places: raise it to see them mix.",
        "在此温度下，{share:.0%} 的位置由一个词独占 99% 以上：调高温度可看到各词混合。",
    ),
    "depth_again": (
        "{ms:.0f} ms, from the stored products, without the model",
        "{ms:.0f} 毫秒，由存储的乘积重算，未用模型",
    ),
    "depth_pixel_note": ("Click a pixel to see how the words share it.", "点击一个像素，查看各词在该处的概率。"),
    "depth_pixel_title": ("Pixel ({x}, {y}): {metres:.2f} m", "像素 ({x}, {y})：{metres:.2f} 米"),
    "depth_responses": ("Responses", "各词响应"),
    "depth_responses_note": (
        "How probable each word is at each place (bright is 1), its distance, and its mean over the picture.",
        "每个词在各位置的概率（亮为 1）、对应的距离，以及在整张图片上的平均。",
    ),
    "depth_beside": (
        "Without looking at the picture, from other Toybox scenes: {answers}",
        "不看图片、仅凭其他玩具场景：{answers}",
    ),
    "depth_beside_truth": (
        "Relative error, and pairs in the right order; only the first of them looks at the picture: {answers}",
        "与真实深度相比的相对误差与次序正确率（只有第一个看了图片）：{answers}",
    ),
    "depth_side": ("Side by side", "并排比较"),
    "depth_side_note": (
        "Every variant of the model beside three answers that never look at the picture, learned from 24 other Toybox "
        "scenes: one depth everywhere, the mean depth at each place, and the height in the picture.",
        "该模型的所有变体，与三个从不看图片的答案并排；后者学自另外 24 个玩具场景：处处相同、各位置的平均深度、"
        "以及仅凭画面高度。",
    ),
    "depth_side_run": ("Compare", "比较"),
    "depth_no_truth": (
        "The true depth of this picture is not known, so there is no table; draw a Toybox scene to get one.",
        "该图片的真实深度未知，因此没有表格；绘制玩具场景即可得到。",
    ),
    "depth_true": ("true", "真实"),
    "depth_constant": ("constant", "常数"),
    "depth_mean": ("mean depth", "平均深度"),
    "depth_vertical": ("height in the picture", "画面高度"),
    "depth_answer_of": ("answer", "答案"),
    "depth_scale": (
        "One logarithmic scale of colours for all: {near:.2f} m is bright, {far:.2f} m and beyond is dark.",
        "所有图共用一个对数颜色标度：{near:.2f} 米为亮，{far:.2f} 米及更远为暗。",
    ),
    "depth_scored": (
        "Scored where the true depth is at most {metres:g} m ({share:.0%} of the pixels); ★ is the best of a column.",
        "只计真实深度不超过 {metres:g} 米的像素（占 {share:.0%}）；★ 为该列最佳。",
    ),
    "depth_rank": ("rank accuracy", "远近次序正确率"),
    "depth_duel": ("{measure}: {blind} {a:.3f}, {seeing} {b:.3f}", "{measure}：{blind} {a:.3f}，{seeing} {b:.3f}"),
    "depth_baseline_wins": (
        "In {lost} of {count} columns an answer that never looks at the picture beats the model. {duels}.",
        "{count} 列中有 {lost} 列，从不看图片的答案胜过该模型。{duels}。",
    ),
    "depth_model_wins": (
        "In none of the {count} columns does an answer that never looks at the picture beat the model.",
        "{count} 列中，没有一列是从不看图片的答案胜过该模型。",
    ),
    "depth_surface": ("3D", "三维"),
    "depth_surface_note": ("Drag to turn, scroll to come nearer.", "拖动旋转，滚动缩放。"),
    "depth_surface_title": ("Estimated depth as a surface", "估计深度的曲面"),
    "depth_words_lesson": ("Do words matter?", "词语有用吗？"),
    "depth_words_note": (
        "Swap two words: if they carry distance, the order of the depths turns (−1); if they carry nothing, it stays "
        "(+1). With only two words it always turns: arithmetic, not sight. Words without sense are the control.",
        "交换两个词：若它们承载距离，远近次序会颠倒（−1）；若不承载，则不变（+1）。"
        "若总共只有两个词，次序必然颠倒，这是算术而非视觉。无意义词是对照。",
    ),
    "depth_first": ("One word", "一个词"),
    "depth_second": ("The other", "另一个词"),
    "depth_swap": ("Swap them", "交换"),
    "depth_nonsense_run": ("Words without sense", "无意义词"),
    "depth_as_asked": ("as asked", "原答案"),
    "depth_swapped": ("swapped", "交换后"),
    "depth_nonsense": ("words without sense", "无意义词"),
    "depth_said_swap": (
        "Rank correlation of the two answers: {value:+.3f}. Together “{first}” and “{second}” hold {share:.1%} of the "
        "probability.",
        "两个答案的秩相关：{value:+.3f}。“{first}”与“{second}”共占概率的 {share:.1%}。",
    ),
    "depth_said_asked": (
        "Asked with {words}: depths from {near:.3f} to {far:.3f} m.",
        "改用 {words} 提问：深度为 {near:.3f} 至 {far:.3f} 米。",
    ),
    "depth_said_nonsense": (
        "Rank correlation with the answer of real words: {value:+.3f}.",
        "与真实词语答案的秩相关：{value:+.3f}。",
    ),
    "depth_said_ranks": (
        "Pixel pairs in the right order: {before:.1%} with your words, {after:.1%} with words without sense.",
        "远近次序正确的像素对：用您的词 {before:.1%}，用无意义词 {after:.1%}。",
    ),
    "depth_no_order": (
        "One of the two answers is the same everywhere to the millimetre, so there is no order to compare.",
        "两个答案之一精确到毫米处处相同，没有次序可比。",
    ),
    "depth_downloads": ("Downloads", "下载"),
    "depth_downloads_note": (
        "A 16-bit PNG in millimetres (at most 65.535 m), an NPY in metres, and a PLY cloud of points: a pinhole camera "
        "with an assumed field of view of 60° across the width, +y up, looking along −z. "
        "Pictures are shrunk to 1024 pixels first.",
        "16 位 PNG（毫米，最多 65.535 米）、NPY（米）与 PLY 点云："
        "针孔相机，假定水平视场角为 60°，+y 向上，朝 −z 方向看。"
        "图片先缩小到 1024 像素以内。",
    ),
    "depth_write": ("Write the files", "生成文件"),
    "depth_code_note": (
        "These lines give the same numbers: nearest, median and farthest.",
        "以下代码得到相同的数值：最近、中位与最远。",
    ),
}
