"""Enrollment links: what is one, what is none, and what goes over a network in the open."""

import pytest

from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol import links
from fedrela.core.protocol.links import Link

FLEET = f"fleet-{'0a' * 32}-{'1b' * 32}-{'2c' * 64}-our.fleet-1"
ONE, TWO, THREE = "0f" * 16, "1e" * 16, "2d" * 16


@pytest.mark.parametrize(
    "link",
    [
        "",
        "http://h/join",
        f"http://h/#t.{ONE}",
        f"ftp://h/join#t.{ONE}",
        f"http:///join#t.{ONE}",
        f"http://u:p@h/join#t.{ONE}",
        f"http://h:x/join#t.{ONE}",
        f"http://h/join#a b.{ONE}",
        f"http://h/join?x=1#t.{ONE}",
        f"http://h/join#.{ONE}",
        f"http://h/join#t.{ONE[:-1]}",
        f"http://h/join#t.{ONE.upper()}",
        f"http://h/join#t.{ONE}.",
        f"http://h/join#t.{ONE}.{TWO[:-1]}",
        f"http://h/join#{'t' * 513}.{ONE}",
        f"http://h/join#t.{'.'.join([ONE] * 18)}",
        f"http://h/join#t.{FLEET}",
        f"http://h/join#t.{ONE}.{FLEET}.{TWO}/",
        f"http://h/join#t.{ONE}.{FLEET.replace('2c', '2C')}",
        f"http://h/join#t.{ONE}.{FLEET.removesuffix('-our.fleet-1')}",
        f"http://h/join#t.{ONE}.{FLEET.replace('-1b', '-b')}",
    ],
)
def test_what_is_no_link(link: str) -> None:
    with pytest.raises(InvalidMessage, match="paste the whole link"):
        links.parse(link)


def test_links() -> None:
    assert links.parse(f"http://127.0.0.1:8000/join#abc_-1.{ONE}") == Link("http://127.0.0.1:8000", "abc_-1", ONE)
    assert links.parse(f" https://h/fl/join#t.{ONE}.{TWO}.{THREE}\n") == Link("https://h/fl", "t", ONE, (TWO, THREE))


def test_a_link_is_what_its_text_says() -> None:
    link = Link("https://h/fl", "t", ONE, (TWO, THREE))
    assert links.parse(link.text()) == link


def test_a_link_may_name_a_fleet() -> None:
    link = Link("https://h", "t", ONE, (TWO,), FLEET)
    assert link.text() == f"https://h/join#t.{ONE}.{TWO}.{FLEET}"
    assert links.parse(link.text()) == link
    assert links.parse(f"https://h/join#t.{ONE}.{FLEET}") == Link("https://h", "t", ONE, (), FLEET)


def test_a_link_that_names_no_key_is_refused_with_its_remedy() -> None:
    with pytest.raises(InvalidMessage, match=r"which key.*fedrela token create"):
        links.parse("https://h/join#token")


@pytest.mark.parametrize(
    "url", ["https://h", "http://localhost:8000", "http://127.0.0.1", "http://127.9.9.9", "http://[::1]:8000"]
)
def test_what_nobody_on_the_way_can_read(url: str) -> None:
    assert links.is_private(url)


@pytest.mark.parametrize(
    "url", ["http://h", "http://10.0.0.1", "http://localhost.example.org", "http://127.0.0.1.nip.io"]
)
def test_what_goes_over_the_network_in_the_open(url: str) -> None:
    assert not links.is_private(url)
