"""Formulas as MathML, which browsers draw by themselves: pages need nothing from elsewhere and can be read offline."""

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def inline(writer, node):
    """Write a formula in a line."""
    writer.body.append(convert(node.astext(), display="inline"))
    raise SkipNode


def block(writer, node):
    """Write a formula of its own."""
    writer.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app):
    """Offer the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
