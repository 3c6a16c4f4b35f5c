"""How the tagger learned."""

from run_page import show

show("tutorials/tag.md", "curve")
