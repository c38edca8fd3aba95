"""The small process that starts sandboxes; it imports nothing of the rest of Lampyr.

It runs as the top-level package `spawner` under `python -I -S`, so its modules import each other
relatively, and keep away from `typing` and `dataclasses`, which would double its memory.
"""
