"""What is left between predicted and true pulse."""

from run_page import show

show("tutorials/regress.md", "residuals")
