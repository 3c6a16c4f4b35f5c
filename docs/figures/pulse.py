"""Three recordings of a pulse."""

from run_page import show

show("tutorials/regress.md", "recordings")
