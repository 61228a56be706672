"""Video retrieval: find the clip, and the second in it, that words or a picture describe.

CLIP4Clip (clip4clip.py) compares a text with a whole clip; moment search (moments.py) keeps a vector for every second
of many videos in an index that stays.
"""
