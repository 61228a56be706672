"""What a training says when it ends before its time, in Chinese; see demos/errors.py for how sentences are matched."""

COMPLAINTS: dict[str, str] = {
    "The teacher of a GLIP must be a CLIP with a ResNet: its maps are imitated.": (
        "GLIP 的教师须为带 ResNet 的 CLIP：将模仿其特征图。"
    ),
    "Finished after step {}.": "在第 {} 步完成。",
    "Stopped after step {}; the checkpoint is kept, and --resume goes on from it.": (
        "在第 {} 步停止；检查点已保留，可由此继续。"
    ),
    "Stopped before the first step; start again when you like.": "在第一步之前停止；可随时重新开始。",
    "The {} became {} at step {}: take a smaller learning rate; {}.": "第 {2} 步时 {0} 变为 {1}：请减小学习率；{3}。",
    "There is not enough memory: take a smaller --batch, encode it in pieces with --grad-cache, "
    "or train a smaller network.": "内存不足：请减小批量、用 --grad-cache 分块编码，或训练更小的网络。",
    "The disk is full: make room, then go on with --resume.": "磁盘已满：请腾出空间，再继续。",
    "The disk is full: the log ends here; make room, then go on with --resume.": (
        "磁盘已满：日志到此为止；请腾出空间，再继续。"
    ),
    "The disk is full: {} could not be written; make room, then go on with --resume.": (
        "磁盘已满：无法写入 {}；请腾出空间，再继续。"
    ),
    "Something went wrong that should not have: {}: {}": "发生了不应发生的错误：{}：{}",
    "{} in {} is of another network: take another --out, or do not --resume.": (
        "{1} 中的 {0} 属于另一个网络：请换一个文件夹，或不要继续。"
    ),
    "{} is not built as OpenAI's CLIPs are: begin with an embedded one or ViT-B-32/openai.": (
        "{} 的结构与 OpenAI 的 CLIP 不同：请从内置的 CLIP 或 ViT-B-32/openai 开始。"
    ),
    "Fine-tuning needs photographs: give --data a folder of class folders, a CSV or a COCO file.": (
        "微调需要照片：请给出按类别分的文件夹、CSV 或 COCO 文件。"
    ),
    "There is one picture in {}: give at least two a class.": "{} 中只有一张图片：每类至少两张。",
    "All pictures of {} are of one class, {}: give at least two classes.": (
        "{} 的图片都属于同一类 {}：至少需要两个类别。"
    ),
    "{} has too few pictures to hold one back for measuring: give at least two a class.": (
        "{} 的图片太少，无法留出一张用于测量：每类至少两张。"
    ),
    "A linear probe needs a class for every picture: give a folder of class folders.": (
        "线性探针需要每张图片的类别：请给出按类别分的文件夹。"
    ),
    "{} is not a COCO file with boxes: wanted images, categories and annotations.": (
        "{} 不是带方框的 COCO 文件：应含 images、categories 与 annotations。"
    ),
    "No picture of {} has {}.": "{0} 中没有一张图片带有{1}。",
    "an outline": "轮廓",
    "a box": "方框",
    "There is one picture with something in it in {}: give at least two.": "{} 中只有一张有标注的图片：至少两张。",
    "No outline is large enough to be pointed at: give pictures with larger things.": (
        "没有足够大的轮廓可点击：请给出物体更大的图片。"
    ),
    "The {} classes of {} make a prompt of {} tokens; {} reads {}: give fewer classes.": (
        "{1} 的 {0} 个类别构成 {2} 个词元的提示；{3} 只能读 {4} 个：请减少类别。"
    ),
    "Wanted a CLIP4Clip that was trained here on {}, got {}.": "应为在此以 {} 训练的 CLIP4Clip，却得到 {}。",
    "Wanted an ActionCLIP that was trained here on {}, got {}.": "应为在此以 {} 训练的 ActionCLIP，却得到 {}。",
    "{} is no GLIP but a relative, whose prompt is read otherwise: begin with a GLIP.": (
        "{} 不是 GLIP 而是其近亲，读取提示的方式不同：请从 GLIP 开始。"
    ),
    "None of the {} pictures that {} names can be read.": "{1} 所列的 {0} 张图片都无法读取。",
    "{} pictures of {} pixels a side do not fit into the memory: give fewer.": (
        "{} 张边长 {} 像素的图片超出内存：请减少。"
    ),
    "CIFAR-10 could not be downloaded ({}); give a folder of photographs.": (
        "无法下载 CIFAR-10（{}）；请给出照片文件夹。"
    ),
    "Wanted a table with the columns path and caption in {}, or a picture and a caption a line.": (
        "{} 应为含 path 与 caption 列的表格，或每行一张图片与一条文字。"
    ),
    "There is no file or folder {}; 'cifar10' downloads CIFAR-10, hf:DATASET a data set from the hub.": (
        "没有文件或文件夹 {}；'cifar10' 会下载 CIFAR-10，hf:DATASET 会从模型库下载数据集。"
    ),
    "Wanted CLASS/picture or train/CLASS/picture files in {}, found none.": (
        "{} 中没有 类别/图片 或 train/类别/图片 文件。"
    ),
    "No line of {} has a path and a caption.": "{} 中没有一行同时含路径与文字。",
    "No picture of {} has a caption or a category.": "{} 中没有一张图片带文字或类别。",
    "{} is not a COCO file: wanted images and annotations with captions.": (
        "{} 不是 COCO 文件：应含 images 与带文字的 annotations。"
    ),
    "{} is neither a folder, a zip file nor a table that can be read.": "{} 既不是文件夹，也不是可读取的 zip 或表格。",
}
