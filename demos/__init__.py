"""The interface: a file for each tab, the only folder beside app.py that imports gradio."""

from demos import depth, point_cloud, zero_shot

TABS = (zero_shot, point_cloud, depth)
