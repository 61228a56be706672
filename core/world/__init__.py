"""The Toybox: a small 3D world with exact truth for every picture.

Labels, masks, boxes, depth, clouds, motion and sentences, all as core.results types.
"""
