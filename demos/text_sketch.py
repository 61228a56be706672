"""Every word of the sketch tab, English and Chinese, and its complaints; see demos/text.py and demos/errors.py."""

WORDS: dict[str, tuple[str, str]] = {
    "sketch": ("Sketch", "简笔画"),
    "sk_thing": ("Toybox thing", "玩具物体"),
    "sk_take": ("Take it", "取用"),
    "sk_strokes": ("Strokes", "笔画数"),
    "sk_draw": ("Draw", "画"),
    "sk_stop": ("Stop", "停止"),
    "sk_resume": ("Resume", "继续"),
    "sk_how": ("How it is drawn", "绘制方式"),
    "sk_preset": ("Preset; the paper’s wants a GPU", "预设；论文设置需要 GPU"),
    "sk_iterations": ("Iterations", "迭代次数"),
    "sk_seeds": ("Seeds, drawn side by side", "种子数（并排绘制）"),
    "sk_views": ("Random views a step", "每步随机视角数"),
    "sk_cut": ("Cut the object out first", "先抠出物体"),
    "sk_losses": ("Losses: semantic L_s, geometric L_g", "损失：语义 L_s、几何 L_g"),
    "sk_start": ("Strokes begin where", "起笔位置依据"),
    "sk_quick": ("CPU, quick", "CPU 快速"),
    "sk_paper": ("paper", "论文"),
    "sk_off": ("off", "不抠"),
    "sk_attention": ("attention", "注意力"),
    "sk_random": ("random", "随机"),
    "sk_nothing_yet": (
        "Choose a picture, or none for the Toybox thing, and press Draw.",
        "选择图片（不选则画玩具物体），然后按“画”。",
    ),
    "sk_ready": ("Getting ready, or waiting for a turn…", "准备中，或正在排队……"),
    "sk_loss": ("Loss of each seed", "各种子的损失"),
    "sk_step": ("iteration", "迭代"),
    "sk_seed": ("seed {seed} · {loss:.3f}", "种子 {seed} · {loss:.3f}"),
    "sk_drawing": ("Iteration {step} of {steps}: loss {loss:.3f} =", "第 {step}/{steps} 次迭代：损失 {loss:.3f} ="),
    "sk_begins": ("It begins with these strokes.", "从这些笔画开始。"),
    "sk_stopped": (
        "Stopped at iteration {step} of {steps}; Resume goes on from here. Loss {loss:.3f} =",
        "已停在第 {step}/{steps} 次迭代；“继续”由此接着画。损失 {loss:.3f} =",
    ),
    "sk_stopped_first": (
        "Stopped before the first step: these are the strokes it would begin with. Resume begins.",
        "在第一步之前停止：这些是起始笔画。按“继续”开始。",
    ),
    "sk_settled": (
        "Settled after {step} iterations: no longer better. The best that was measured is kept, loss {loss:.3f}. "
        "Resume goes on all the same.",
        "{step} 次迭代后已稳定，不再变好。保留测得最好的一幅，损失 {loss:.3f}。仍可按“继续”。",
    ),
    "sk_done": (
        "Done after {step} iterations. The best that was measured is kept, loss {loss:.3f}. "
        "Resume draws as many again.",
        "{step} 次迭代完成。保留测得最好的一幅，损失 {loss:.3f}。“继续”再画同样多次。",
    ),
    "sk_judged": (
        "{judge}, which did not draw it, sees “{best}” ({share:.0%}); likeness with the picture {cosine:+.2f}.",
        "没有参与绘制的 {judge} 认为它是“{best}”（{share:.0%}）；与图片的相似度 {cosine:+.2f}。",
    ),
    "sk_judged_truth": (
        "{judge}, which did not draw it, sees “{best}” ({share:.0%}). True: “{truth}”. "
        "Likeness with the picture {cosine:+.2f}.",
        "没有参与绘制的 {judge} 认为它是“{best}”（{share:.0%}）。真实：“{truth}”。与图片的相似度 {cosine:+.2f}。",
    ),
    "sk_no_stages": (
        "{model} is no ResNet, so there is no geometric loss: it draws by the semantic one alone.",
        "{model} 不是 ResNet，没有几何损失：只用语义损失绘制。",
    ),
    "sk_width": ("Pen width", "笔宽"),
    "sk_color": ("Colour", "颜色"),
    "sk_replay": ("Replay", "重放"),
    "sk_looked": ("Saliency", "显著图"),
    "sk_looked_note": (
        "Attention times edges gives each pixel its chance; strokes begin at drawn pixels, a colour for each seed. "
        "XDoG marks dark regions rather than thin lines.",
        "注意力乘以边缘得到每个像素的概率；笔画从抽到的像素开始，每个种子一种颜色。XDoG 标出的是暗区，而不是细线。",
    ),
    "sk_drawn_after": ("what is drawn", "所画图片"),
    "sk_saliency": ("saliency", "显著性"),
    "sk_edges": ("XDoG edges", "XDoG 边缘"),
    "sk_chances": ("chance of a start", "起笔概率"),
    "sk_starts": ("starts", "起点"),
    "sk_compare": ("Compare", "比较"),
    "sk_compare_run": ("Draw and compare", "绘制并比较"),
    "sk_compare_stopped": (
        "Stopped: these are the sketches as they were.",
        "已停止：这些是停止时的草图。",
    ),
    "sk_lesson_starts": ("saliency · random", "显著性 · 随机"),
    "sk_lesson_views": ("views · no views", "有视角 · 无视角"),
    "sk_lesson_backgrounds": ("background · white", "背景 · 白底"),
    "sk_about_counts": (
        "Claim: each halving of the strokes abstracts further, and less is recognised. All four are one batch.",
        "论断：笔画每减半，画面更抽象，更难辨认。四幅同批绘制。",
    ),
    "sk_about_losses": (
        "Claim: L_s alone keeps the meaning and loses the shape, L_g alone keeps the shape, both are best.",
        "论断：只用 L_s 保留含义而失去形状，只用 L_g 保留形状，两者并用最好。",
    ),
    "sk_about_starts": (
        "Claim: strokes that begin where CLIP looks end better, and alike for every seed. Three seeds each.",
        "论断：从 CLIP 注视处起笔结果更好，且各种子结果接近。各画三个种子。",
    ),
    "sk_about_views": (
        "Claim: without random views the loss falls, but only for the CLIP that draws; another sees less in it.",
        "论断：没有随机视角时损失也下降，但只对绘制所用的 CLIP 有效；另一个 CLIP 更难认出。",
    ),
    "sk_about_backgrounds": (
        "Claim: a background takes strokes away from the object. A Toybox thing is drawn in its scene.",
        "论断：背景会抢走物体的笔画。玩具物体在其场景中绘制。",
    ),
    "sk_said_rises": (
        "The claim holds here: to {judge} more strokes are at least as like the picture each time ({values}).",
        "此处成立：对 {judge} 而言，笔画越多每次都不更差（{values}）。",
    ),
    "sk_said_not_rises": (
        "The claim does not hold throughout here: to {judge} the likenesses are {values}.",
        "此处并不处处成立：对 {judge} 而言，相似度为 {values}。",
    ),
    "sk_said_starts": (
        "Saliency: loss {a_loss:.3f} ± {a_spread:.3f}, likeness {a_like:+.3f} to {judge}. "
        "Random: loss {b_loss:.3f} ± {b_spread:.3f}, likeness {b_like:+.3f}.",
        "显著性：损失 {a_loss:.3f} ± {a_spread:.3f}，{judge} 的相似度 {a_like:+.3f}。"
        "随机：损失 {b_loss:.3f} ± {b_spread:.3f}，相似度 {b_like:+.3f}。",
    ),
    "sk_said_views": (
        "With views the loss fell by {a_fell:.0%}, and the likeness to {judge} went from {a_from:+.3f} to {a_to:+.3f}; "
        "without, by {b_fell:.0%}, and from {b_from:+.3f} to {b_to:+.3f}.",
        "有视角：损失下降 {a_fell:.0%}，{judge} 的相似度从 {a_from:+.3f} 到 {a_to:+.3f}；"
        "无视角：下降 {b_fell:.0%}，从 {b_from:+.3f} 到 {b_to:+.3f}。",
    ),
    "sk_said_best": (
        "Most like the object to {judge}, which did not draw: {best} ({values}).",
        "对没有参与绘制的 {judge} 而言最像物体的是：{best}（{values}）。",
    ),
    "sk_with": ("with random views", "有随机视角"),
    "sk_without": ("without", "无随机视角"),
    "sk_as_it_is": ("with its background", "带背景"),
    "sk_cut_out": ("cut out", "抠出"),
    "sk_true_mask": ("true mask", "真实掩膜"),
    "sk_loss_from_to": ("loss {first:.3f} → {now:.3f}", "损失 {first:.3f} → {now:.3f}"),
    "sk_likeness": ("likeness {value:+.3f}", "相似度 {value:+.3f}"),
    "sk_words": ("Words", "由文字画"),
    "sk_words_note": (
        "CLIPDraw: no picture to draw after, only a sentence to be like. Points, widths and colours move.",
        "CLIPDraw：没有可参照的图片，只求像一句话。点、宽度与颜色都会变化。",
    ),
    "sk_text": ("What is to be drawn", "要画什么"),
    "sk_paths": ("Strokes, of one to three curves each", "笔画数（每笔一至三段曲线）"),
    "sk_negatives": ("Push away from “a badly drawn sketch”", "远离“画得很差的草图”"),
    "sk_words_cosine": (
        "Cosine with “{text}”: {cosine:+.3f}, by {model}, which draws; another CLIP may see less in it.",
        "与“{text}”的余弦：{cosine:+.3f}，由绘制所用的 {model} 给出；别的 CLIP 未必认同。",
    ),
    "sk_files": ("Files", "文件"),
    "sk_files_note": (
        "The sketch as SVG, as an SVG that draws itself (the salient strokes first), as PNG, GIF and WebM, "
        "with the width and colour on show.",
        "将草图存为 SVG、自动重放的 SVG（显著笔画在先）、PNG、GIF 与 WebM，使用当前的笔宽与颜色。",
    ),
    "sk_write": ("Write the files", "生成文件"),
    "sk_code_note": (
        "These lines draw the same sketch again, with its strokes, iterations and loss.",
        "以下代码重新画出同一幅草图，并给出笔画数、迭代次数与损失。",
    ),
}

COMPLAINTS: dict[str, str] = {
    "Choose a picture, or give the Toybox thing a number from 0 to {}, for example 3.": (
        "请选择图片，或给出 0 到 {} 之间的玩具物体编号，例如 3。"
    ),
    "Choose from {} to {} {}; this is {}.": "请在 {} 到 {} 之间选择{}；现为 {}。",
    "Choose a colour such as #0072B2; this is none: {}": "请选择颜色，例如 #0072B2；这不是颜色：{}",
    "Nothing is being drawn.": "现在没有在画。",
    "Nothing has been drawn yet: press Draw first.": "还没有画：请先按“画”。",
    "It is being drawn already.": "已经在画了。",
    "It is still being drawn: press Stop first, or wait.": "还在画：请先按“停止”，或稍候。",
    "This picture is on white already: choose one with a background, or take a Toybox thing.": (
        "该图片已是白底：请选择带背景的图片，或取用玩具物体。"
    ),
    "This picture is blank: there is nothing to draw.": "图片一片空白：没有可画的内容。",
    "Switch on at least one of the two losses, geometric or semantic.": "几何损失与语义损失至少启用一个。",
    "Give at least one picture.": "请至少给出一张图片。",
    "The geometric loss needs a CLIP ResNet: choose one, or switch that loss off.": (
        "几何损失需要 CLIP ResNet：请选用一个，或关闭该损失。"
    ),
    "Write what is to be drawn.": "请写出要画什么。",
    "The object could not be told from its background.": "无法将物体与背景分开。",
    "{} is not on this computer, so {} itself says where the strokes begin.": (
        "本机没有 {}，因此由 {} 自己决定起笔位置。"
    ),
    "wanted a CLIP ResNet or ViT to look for saliency, got another architecture": (
        "显著图需要 CLIP ResNet 或 ViT，该模型是其他结构。"
    ),
    "strokes": "笔画数",
    "seeds": "种子数",
    "iterations": "迭代次数",
    "random views": "随机视角数",
    "nothing": "空",
}
