"""How the reader of calls learned."""

from run_page import show

show("tutorials/speech.md", "curve")
