"""The words of the point cloud tab, English and Chinese."""

WORDS: dict[str, tuple[str, str]] = {
    "point_cloud": ("Point clouds", "点云"),
    "pc_file": ("3D file: PLY OBJ OFF STL GLB XYZ NPY PCD", "三维文件：PLY OBJ OFF STL GLB XYZ NPY PCD"),
    "pc_up": ("Up in the file", "文件中朝上的轴"),
    "pc_seed": ("Or Toybox", "或玩具物体"),
    "pc_take": ("Take it", "选用"),
    "pc_change": ("Change the cloud", "改变点云"),
    "pc_turn": ("Turn (°)", "旋转（°）"),
    "pc_tilt": ("Tilt (°)", "倾斜（°）"),
    "pc_count": ("Points", "点数"),
    "pc_noise": ("Noise", "噪声"),
    "pc_half": ("Half of it is missing", "缺少一半"),
    "pc_dots": ("Dot, pixels", "点径/像素"),
    "pc_preset": ("How it is drawn", "绘制方式"),
    "pc_nothing_yet": (
        "Upload a file or take a Toybox thing, then press Classify.",
        "上传文件或选用玩具物体，然后按“分类”。",
    ),
    "pc_views": ("What the network sees: each side's best label and cosine", "网络所见：每个视角的最佳标签与余弦"),
    "pc_weights": ("How much each side counts", "各视角的权重"),
    "pc_weights_note": (
        "Moving a slider asks the network nothing: the sides have been scored, only the vote is counted anew.",
        "移动滑块不会再次运行网络：各视角已打分，只是重新计票。",
    ),
    "pc_said_truth": ("True: this is a {category}.", "真实类别：{category}。"),
    "pc_said_seen": ("The network sees {seen} points, not {wanted}.", "网络看到 {seen} 个点，而不是 {wanted} 个。"),
    "pc_said_dots": (
        "V2 spreads its points itself: the size of the dots changes nothing.",
        "V2 自行扩散各点：点的大小不起作用。",
    ),
    "pc_said_parts": (
        "The few-shot adapter judges all sides together: the number under a side is its share in that, no cosine.",
        "少样本适配器综合判断所有视角：视角下的数值是它的贡献，不是余弦。",
    ),
    "pc_dense": ("Dots or dense", "稀疏与稠密"),
    "pc_dense_note": (
        "The same points, drawn in each way. CLIP learned from photographs: how does a picture of dots look to it?",
        "同样的点，不同的绘制方式。CLIP 从照片中学习：点组成的图片在它看来如何？",
    ),
    "pc_dense_caption": ("{preset}: {label} {share:.0%}", "{preset}：{label} {share:.0%}"),
    "pc_points": ("How many", "多少点"),
    "pc_points_note": (
        "Your first label, and the label that wins with most points.",
        "您的第一个标签，以及点数最多时胜出的标签。",
    ),
    "pc_points_title": ("Probability against the number of points", "概率随点数的变化"),
    "pc_axis_points": ("points", "点数"),
    "pc_tilted": ("Tilt it", "倾斜它"),
    "pc_tilted_note": (
        "PointCLIP takes it that things stand upright. The best label at each tilt:",
        "PointCLIP 假定物体是直立的。各倾斜角度下的最佳标签：",
    ),
    "pc_tilted_title": ("Best label and its probability", "最佳标签及其概率"),
    "pc_axis_tilt": ("tilt, degrees", "倾斜（度）"),
    "pc_show": ("Show", "显示"),
    "pc_python_note": ("These lines give the numbers on show.", "以下代码得到所示的数值。"),
}
