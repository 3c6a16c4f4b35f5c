"""How the classifier of gestures learned."""

from run_page import show

show("tutorials/classify.md", "curve")
