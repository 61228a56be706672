"""The interface: a file for each tab, the only folder beside app.py that imports gradio."""

from demos import action, depth, detection, point_cloud, segmentation, sketch, training, video_retrieval, zero_shot

TABS = (zero_shot, segmentation, detection, video_retrieval, action, point_cloud, depth, sketch)
HIDDEN = (training,)  # built only where the environment has a token, for pages that ask
