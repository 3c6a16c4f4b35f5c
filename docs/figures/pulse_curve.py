"""How the pulse was learned."""

from run_page import show

show("tutorials/regress.md", "curve")
