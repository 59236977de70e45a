"""QR codes of enrolment links. May import segno.

>>> "▀" in as_text("https://fl.example.org/join#token") or "█" in as_text("https://fl.example.org/join#token")
True
"""

import io

import segno


def as_text(link: str) -> str:
    """The code in half blocks, for a terminal of any colours."""
    out = io.StringIO()
    segno.make(link, error="m").terminal(out, border=2, compact=True)
    return out.getvalue()


def as_svg(link: str) -> str:
    """The code as an SVG element without colours of its own: dark modules take the page's text colour."""
    out = io.BytesIO()
    segno.make(link, error="m").save(
        out, kind="svg", xmldecl=False, svgns=True, nl=False, border=2, dark="#000", light="#fff", omitsize=True
    )
    return out.getvalue().decode()
