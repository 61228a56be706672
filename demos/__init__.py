"""The interface: a file for each tab, the only folder beside app.py that imports gradio."""

from demos import zero_shot

TABS = (zero_shot,)
