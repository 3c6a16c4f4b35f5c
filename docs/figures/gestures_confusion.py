"""Which gestures are taken for which."""

from run_page import show

show("tutorials/classify.md", "confusion")
