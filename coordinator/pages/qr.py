"""QR codes of enrollment links.

>>> as_data_uri("https://fl.example.org/join#token")[:18]
'data:image/svg+xml'
"""

import io

import segno


def as_text(link: str) -> str:
    """The code in half blocks, for a terminal of any colors."""
    out = io.StringIO()
    segno.make(link, error="m").terminal(out, border=2, compact=True)
    return out.getvalue()


def as_data_uri(link: str) -> str:
    """The code as an SVG in a data URI: a link's secret then is in no file and no further request."""
    return segno.make(link, error="m").svg_data_uri(border=2, scale=6, dark="#000", light="#fff")
