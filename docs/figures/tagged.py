"""Sentences in the colours of their tags."""

from run_page import show

show("tutorials/tag.md", "sentences")
