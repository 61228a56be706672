"""The Toybox: a small 3D world with exact truth for every picture (labels, masks, boxes, depth, clouds, motion, sentences)."""
