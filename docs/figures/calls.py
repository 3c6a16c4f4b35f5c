"""What a telephone hears, and what is read where."""

from run_page import show

show("tutorials/speech.md", "heard")
