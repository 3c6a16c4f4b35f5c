"""Two drawings of every gesture."""

from run_page import show

show("tutorials/classify.md", "drawings")
