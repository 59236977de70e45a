"""QR codes of enrollment links.

>>> as_data_uri("https://fl.example.org/join#token")[:18]
'data:image/svg+xml'
"""

import io

import segno

WHITE_ON_BLACK, AS_BEFORE = "\x1b[97;40m", "\x1b[0m"  # segno draws what is light


def as_text(link: str) -> str:
    """The code in half blocks, for a terminal of any colors: each line brings its own."""
    out = io.StringIO()
    segno.make(link, error="m").terminal(out, border=2, compact=True)
    return "".join(f"{WHITE_ON_BLACK}{line}{AS_BEFORE}\n" for line in out.getvalue().splitlines())


def as_svg(link: str) -> str:
    """The code as a picture for a file."""
    out = io.BytesIO()
    segno.make(link, error="m").save(out, kind="svg", border=4, scale=6, dark="#000", light="#fff")
    return out.getvalue().decode()


def as_data_uri(link: str) -> str:
    """The code as an SVG in a data URI: a link's secret then is in no file and no further request."""
    return segno.make(link, error="m").svg_data_uri(border=2, scale=6, dark="#000", light="#fff")
